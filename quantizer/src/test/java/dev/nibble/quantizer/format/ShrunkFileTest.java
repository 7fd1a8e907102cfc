package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model file that is cut short while it is mapped: a typed error, and the process lives. */
class ShrunkFileTest {
  private static final int ELEMENTS = 1 << 18;

  @TempDir Path folder;

  @Test
  void readingAShrunkFileIsATypedError() throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int round = 0; round < 50; round++) {
      Path model = Files.createDirectory(folder.resolve("round" + round));
      Path file = writeModel(model);
      try (Checkpoint checkpoint = Checkpoint.open(model)) {
        Tensor tensor = checkpoint.find("x").orElseThrow();
        Checkpoint.DataReader<Object> reader = reader(round % 4, tensor);
        reader.read();
        cut(file, random.nextLong(Files.size(file)));
        String message = "seed " + seed + " round " + round;
        ModelFormatException e =
            assertThrows(ModelFormatException.class, () -> checkpoint.reading(reader), message);
        assertTrue(e.getMessage().contains("model.safetensors: size: expected"), e.getMessage());
      }
      Files.delete(file);
    }
  }

  @Test
  void aLastPageThatReadsAsZerosIsATypedErrorToo() throws Exception {
    Path file = writeModel(folder);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      cut(file, Files.size(file) - 1);
      assertThrows(
          ModelFormatException.class,
          () -> checkpoint.reading(checkpoint.require("x", ELEMENTS)::toFloats));
    }
  }

  @Test
  void anUntouchedFileReadsAsItIs() throws Exception {
    writeModel(folder);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      Tensor tensor = checkpoint.find("x").orElseThrow();
      assertArrayEquals(new float[ELEMENTS], checkpoint.reading(tensor::toFloats));
      IOException thrown =
          assertThrows(
              IOException.class,
              () ->
                  checkpoint.reading(() -> {
                    throw new InternalError("planted");
                  }));
      assertInstanceOf(InternalError.class, thrown.getCause());
    }
  }

  /** The ways in which Java code may read a mapped segment; mismatch is none, it kills the JVM. */
  private static Checkpoint.DataReader<Object> reader(int way, Tensor tensor) {
    MemorySegment data = tensor.data();
    return switch (way) {
      case 0 -> tensor::toFloats;
      case 1 -> () -> data.toArray(ValueLayout.JAVA_BYTE);
      case 2 -> () -> MemorySegment.ofArray(new byte[4 * ELEMENTS]).copyFrom(data);
      case 3 ->
          () -> {
            int sum = 0;
            for (long at = 0; at < data.byteSize(); at++) {
              sum += data.get(ValueLayout.JAVA_BYTE, at);
            }
            return sum;
          };
      default -> throw new IllegalArgumentException("way " + way);
    };
  }

  private static Path writeModel(Path folder) throws IOException {
    Files.writeString(folder.resolve("config.json"), SmallModel.CONFIG);
    Path file = folder.resolve("model.safetensors");
    TensorInfo tensor = new TensorInfo("x", DType.F32, List.of((long) ELEMENTS));
    try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(tensor), Map.of())) {
      writer.write("x", MemorySegment.ofArray(new byte[4 * ELEMENTS]));
      writer.finish();
    }
    return file;
  }

  private static void cut(Path file, long length) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(length);
    }
  }
}
