package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
  private static final Path ROOT = Path.of(System.getProperty("project.root"));
  private static final Path TINY = ROOT.resolve("runtime/src/test/resources/tiny");

  @Test
  void readsShardsThroughTheIndex() throws Exception {
    try (Checkpoint books = Checkpoint.open(ROOT.resolve("runtime/models/books-8m"))) {
      assertEquals(74, books.names().size());
      assertTrue(books.file("model.norm.weight").endsWith("model-00002-of-00002.safetensors"));
      float[] norm = books.require("model.norm.weight", 256).toFloats();
      assertEquals(256, norm.length);
      for (float weight : norm) {
        assertTrue(weight > 0 && weight < 100, "weight " + weight);
      }
      assertEquals(List.of(2), books.config().eosIds());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void everyTensorHasTheNameAndShapeThatConfigAndNamesGive(String model) throws Exception {
    try (Checkpoint checkpoint = Checkpoint.open(TINY.resolve(model))) {
      List<String> expected = requireAll(checkpoint);
      assertEquals(
          checkpoint.names().stream().sorted().toList(), expected.stream().sorted().toList());
    }
  }

  @Test
  void closingTwiceDoesNothing() throws Exception {
    Checkpoint checkpoint = Checkpoint.open(TINY.resolve("llama3"));
    checkpoint.close();
    checkpoint.close();
    assertFalse(checkpoint.find("model.norm.weight").orElseThrow().data().scope().isAlive());
  }

  private static List<String> requireAll(Checkpoint checkpoint) throws ModelFormatException {
    ModelConfig config = checkpoint.config();
    TensorNames names = TensorNames.of(config.architecture());
    boolean opt = config.architecture() == Architecture.OPT;
    long hidden = config.hiddenSize();
    List<String> found = new ArrayList<>();
    found.add(checkpoint.require(names.embedding().weight(), config.vocabSize(), hidden).name());
    if (!config.tiedEmbeddings()) {
      found.add(checkpoint.require(names.head().weight(), config.vocabSize(), hidden).name());
    }
    if (opt) {
      long rows = config.maxPositions() + (long) names.positionOffset();
      found.add(checkpoint.require(names.positions().orElseThrow().weight(), rows, hidden).name());
    }
    List<ModuleName> norms = new ArrayList<>(List.of(names.finalNorm()));
    for (int layer = 0; layer < config.layers(); layer++) {
      norms.add(names.attentionNorm(layer));
      norms.add(names.mlpNorm(layer));
      for (var headNorm : List.of(names.queryNorm(layer), names.keyNorm(layer))) {
        if (headNorm.isPresent()) {
          found.add(checkpoint.require(headNorm.get().weight(), config.headDim()).name());
        }
      }
      for (LinearRole role : names.linears()) {
        ModuleName linear = names.linear(layer, role);
        found.add(
            checkpoint.require(linear.weight(), config.rows(role), config.columns(role)).name());
        if (opt) {
          found.add(checkpoint.require(linear.bias(), config.rows(role)).name());
        }
      }
    }
    for (ModuleName norm : norms) {
      found.add(checkpoint.require(norm.weight(), hidden).name());
      if (opt) {
        found.add(checkpoint.require(norm.bias(), hidden).name());
      }
    }
    return found;
  }

  /** What a reader has summed, and what it has not, is checked all the same. */
  @Test
  void checksumsOfDataMayWait(@TempDir Path folder) throws IOException {
    SmallModel.packed(folder, Long.MAX_VALUE);
    Path file = folder.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 1] ^= 4;
    Files.write(file, bytes);
    assertThrows(ModelFormatException.class, () -> Checkpoint.open(folder));
    try (Checkpoint checkpoint = Checkpoint.openUnread(folder)) {
      String last = checkpoint.names().getLast();
      for (String name : checkpoint.names()) {
        MemorySegment data = checkpoint.find(name).orElseThrow().data();
        CRC32C crc = new CRC32C();
        crc.update(data.toArray(ValueLayout.JAVA_BYTE));
        int sum = (int) crc.getValue();
        if (name.equals(last)) {
          ModelFormatException refusal =
              assertThrows(ModelFormatException.class, () -> checkpoint.requireChecksum(data, sum));
          assertTrue(refusal.getMessage().contains(name), refusal.getMessage());
        } else {
          checkpoint.requireChecksum(data, sum);
        }
      }
      assertThrows(ModelFormatException.class, checkpoint::requireChecksums);
    }
    bytes[bytes.length - 1] ^= 4;
    Files.write(file, bytes);
    try (Checkpoint checkpoint = Checkpoint.openUnread(folder)) {
      checkpoint.requireChecksums();
    }
  }
}
