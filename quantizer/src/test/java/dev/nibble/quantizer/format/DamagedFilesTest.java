package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files cut short at every byte, and with every bit turned over. */
class DamagedFilesTest {
  private static final Duration LIMIT = Duration.ofSeconds(60);

  private static final long ONE_FILE = Long.MAX_VALUE;
  private static final long TWO_FILES = 20_000;

  @TempDir Path parent;

  private Path folder;

  @BeforeEach
  void makeFolder() throws IOException {
    folder = Files.createDirectory(parent.resolve("model"));
  }

  @Test
  void aSafetensorsFileCutAnywhereIsRefused() throws Exception {
    Path file = SmallModel.source(folder).resolve("model.safetensors");
    byte[] whole = Files.readAllBytes(file);
    assertTimeoutPreemptively(
        LIMIT,
        () -> {
          for (int length = whole.length - 1; length >= 0; length--) {
            cut(file, length);
            assertThrows(ModelFormatException.class, this::open, "length " + length);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "model-00002-of-00002.safetensors"
      })
  void aFileOfAShardedModelCutAnywhereIsRefused(String name) throws Exception {
    Path file = SmallModel.sharded(folder).resolve(name);
    byte[] whole = Files.readAllBytes(file);
    int end = whole.length;
    while (whole[end - 1] == '\n') {
      end--;
    }
    for (int length = end - 1; length >= 0; length--) {
      cut(file, length);
      assertThrows(ModelFormatException.class, this::open, "length " + length);
    }
  }

  @Test
  void aPackedFileCutAnywhereIsRefused() throws Exception {
    Path file = SmallModel.packed(folder, ONE_FILE).resolve("model.safetensors");
    for (long length = Files.size(file) - 1; length >= 0; length--) {
      cut(file, length);
      assertThrows(ModelFormatException.class, this::open, "length " + length);
    }
  }

  @Test
  void everyHeaderBitOfASourceFileTurnedIsRefusedOrReadable() throws Exception {
    Path file = SmallModel.source(folder).resolve("model.safetensors");
    int passed = flipAll(file, headerLength(file));
    assertTrue(passed > 0, "flips inside names and padding make other valid files");
  }

  @ParameterizedTest
  @ValueSource(strings = {"config.json", "generation_config.json", "model.safetensors.index.json"})
  void everyBitOfASourceJsonFileTurnedIsRefusedOrReadable(String name) throws Exception {
    Path file = SmallModel.sharded(folder).resolve(name);
    flipAll(file, Math.toIntExact(Files.size(file)));
  }

  @Test
  void everyHeaderBitOfAPackedFileTurnedIsRefused() throws Exception {
    Path file = SmallModel.packed(folder, ONE_FILE).resolve("model.safetensors");
    assertEquals(0, flipAll(file, headerLength(file)));
    open();
  }

  @ParameterizedTest
  @ValueSource(strings = {"config.json", "generation_config.json", "tokenizer.json"})
  void everyBitOfAPackedJsonFileTurnedIsRefused(String name) throws Exception {
    Path file = SmallModel.packed(folder, ONE_FILE).resolve(name);
    assertEquals(0, flipAll(file, Math.toIntExact(Files.size(file))));
    open();
  }

  @Test
  void everyBitOfAPackedIndexTurnedIsRefused() throws Exception {
    SmallModel.packed(folder, TWO_FILES);
    Path file = folder.resolve("model.safetensors.index.json");
    assertEquals(0, flipAll(file, Math.toIntExact(Files.size(file))));
    open();
  }

  @Test
  void aHundredThousandDataBitsOfAPackedFileTurnedAreRefused() throws Exception {
    Path file = SmallModel.packed(folder, ONE_FILE).resolve("model.safetensors");
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    int from = headerLength(file);
    byte[] whole = Files.readAllBytes(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      for (int i = 0; i < 100_000; i++) {
        int at = from + random.nextInt(whole.length - from);
        int bit = random.nextInt(8);
        put(channel, at, whole[at] ^ (1 << bit));
        assertThrows(
            ModelFormatException.class, this::open, "seed " + seed + " byte " + at + " bit " + bit);
        put(channel, at, whole[at]);
      }
    }
    open();
  }

  /** Turns each bit of the first bytes of a file; returns how many files were accepted. */
  private int flipAll(Path file, int bytes) throws IOException {
    byte[] whole = Files.readAllBytes(file);
    return assertTimeoutPreemptively(
        LIMIT,
        () -> {
          int passed = 0;
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            for (int at = 0; at < bytes; at++) {
              for (int bit = 0; bit < 8; bit++) {
                put(channel, at, whole[at] ^ (1 << bit));
                passed += isAccepted() ? 1 : 0;
              }
              put(channel, at, whole[at]);
            }
          }
          return passed;
        });
  }

  private boolean isAccepted() throws IOException {
    try {
      open();
      return true;
    } catch (ModelFormatException | NoSuchFileException e) {
      assertTrue(e.getMessage().lines().count() == 1, e.getMessage());
      return false;
    }
  }

  /** Opens the folder and reads every byte of every tensor. */
  private void open() throws IOException {
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      for (String name : checkpoint.names()) {
        Tensor tensor = checkpoint.find(name).orElseThrow();
        assertEquals(-1, tensor.data().mismatch(tensor.data().asReadOnly()));
      }
    }
  }

  private static int headerLength(Path file) throws IOException {
    byte[] whole = Files.readAllBytes(file);
    return 8 + Math.toIntExact(Long.reverseBytes(ByteBuffer.wrap(whole).getLong()));
  }

  private static void put(FileChannel channel, int at, int value) throws IOException {
    channel.write(ByteBuffer.wrap(new byte[] {(byte) value}), at);
  }

  private static void cut(Path file, long length) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(length);
    }
  }
}
