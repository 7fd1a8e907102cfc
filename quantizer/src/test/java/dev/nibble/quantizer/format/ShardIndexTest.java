package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardIndexTest {
  private static final String FIRST = "model-00001-of-00002.safetensors";
  private static final String SECOND = "model-00002-of-00002.safetensors";
  private static final String EMBEDDING = "\"model.embed_tokens.weight\": ";

  @TempDir Path parent;

  private Path folder;
  private Path index;
  private String text;

  @BeforeEach
  void writeModel() throws Exception {
    folder = SmallModel.sharded(Files.createDirectory(parent.resolve("model")));
    index = folder.resolve("model.safetensors.index.json");
    text = Files.readString(index);
  }

  @Test
  void readsAllShards() throws Exception {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertEquals(SmallModel.tensors().size(), checkpoint.names().size());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../model/model-00001-of-00002.safetensors",
        "/etc/model.safetensors",
        "./model-00001-of-00002.safetensors",
        "sub/model-00001-of-00002.safetensors",
        "..\\\\model.safetensors",
        "C:model.safetensors",
        "..",
        "",
        ".safetensors",
        "a\\u0000.safetensors",
        "config.json",
        "model.bin"
      })
  void shardNamesThatAreNotPlainAreRefused(String name) throws Exception {
    Files.copy(folder.resolve(FIRST), parent.resolve("outside.safetensors"));
    Files.writeString(index, text.replace("\"" + FIRST + "\"", "\"" + name + "\""));
    refused("expected the name of a .safetensors file of this folder");
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "null", "[\"" + FIRST + "\"]", "{}", "true"})
  void shardNamesThatAreNotStringsAreRefused(String value) throws Exception {
    Files.writeString(index, text.replace(EMBEDDING + "\"" + FIRST + "\"", EMBEDDING + value));
    refused("weight_map.model.embed_tokens.weight: expected the name");
  }

  @Test
  void aTensorThatItsShardLacksIsRefused() throws Exception {
    Files.writeString(index, text.replace(EMBEDDING + "\"" + FIRST, EMBEDDING + "\"" + SECOND));
    refused("weight_map.model.embed_tokens.weight: expected the tensor in " + SECOND);
    Files.writeString(
        index, text.replace("{\"model.embed", "{\"x\": \"" + FIRST + "\", \"model.embed"));
    refused("weight_map.x: expected the tensor in " + FIRST + ", which lacks it");
  }

  @Test
  void aTensorThatTheIndexLacksIsRefused() throws Exception {
    Files.writeString(index, text.replace(EMBEDDING + "\"" + FIRST + "\", ", ""));
    refused("does not say that it is in this file");
  }

  @Test
  void aTensorInTwoShardsIsRefused() throws Exception {
    Files.copy(folder.resolve(FIRST), folder.resolve("copy.safetensors"));
    Files.writeString(
        index, text.replace(EMBEDDING + "\"" + FIRST, EMBEDDING + "\"copy.safetensors"));
    refused("does not say that it is in this file");
  }

  @Test
  void aTensorNamedTwiceIsRefused() throws Exception {
    Files.writeString(
        index,
        text.replace("{\"model.embed", "{" + EMBEDDING + "\"" + SECOND + "\", \"model.embed"));
    refused("uplicate");
  }

  @Test
  void aMissingShardIsNamed() throws Exception {
    Files.delete(folder.resolve(SECOND));
    NoSuchFileException e = assertThrows(NoSuchFileException.class, this::open);
    assertTrue(e.getMessage().endsWith(SECOND), e.getMessage());
  }

  @Test
  void anIndexWithoutAMapIsRefused() throws Exception {
    Files.writeString(index, "{\"metadata\": {}}");
    refused("weight_map: expected an object, found none");
    Files.writeString(index, "{\"weight_map\": {}}");
    refused("weight_map: expected tensors, found none");
  }

  @Test
  void shardsMayBeSymbolicLinks() throws Exception {
    Path blob = parent.resolve("0123abcd");
    Files.move(folder.resolve(FIRST), blob);
    Files.createSymbolicLink(folder.resolve(FIRST), blob);
    open();
  }

  @Test
  void picklesAreRefusedWithAdvice() throws Exception {
    Files.delete(index);
    Files.delete(folder.resolve(FIRST));
    Files.delete(folder.resolve(SECOND));
    NoSuchFileException none = assertThrows(NoSuchFileException.class, this::open);
    assertTrue(none.getMessage().endsWith("model.safetensors"), none.getMessage());
    Files.createFile(folder.resolve("pytorch_model.bin"));
    refused("convert the model to safetensors");
  }

  @Test
  void whatIsNoFolderIsNamed() throws Exception {
    folder = parent.resolve("none");
    assertThrows(NoSuchFileException.class, this::open);
    folder = index;
    refused("expected a model folder, found a file");
  }

  private void open() throws IOException {
    Checkpoint.open(folder).close();
  }

  private void refused(String expected) {
    ModelFormatException e = assertThrows(ModelFormatException.class, this::open);
    assertTrue(e.getMessage().contains(expected), e.getMessage());
  }
}
