package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
  @TempDir Path folder;

  @Test
  void randomTensorsComeBackBitForBit() throws Exception {
    requireRoundTrips(300);
  }

  @Tag("acceptance")
  @Test
  void tenThousandFilesComeBackBitForBit() throws Exception {
    requireRoundTrips(10_000);
  }

  private void requireRoundTrips(int rounds) throws Exception {
    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    List<DType> dtypes = List.of(DType.values());
    for (int round = 0; round < rounds; round++) {
      List<TensorInfo> tensors = new ArrayList<>();
      int count = random.nextInt(12);
      for (int i = 0; i < count; i++) {
        DType dtype = dtypes.get(random.nextInt(dtypes.size()));
        List<Long> shape = new ArrayList<>();
        for (int rank = random.nextInt(5); rank > 0; rank--) {
          shape.add((long) random.nextInt(6));
        }
        tensors.add(new TensorInfo("t\u00e9" + i + ".\"\n" + i, dtype, shape));
      }
      Path file = folder.resolve("round" + round + ".safetensors");
      Map<String, byte[]> expected = writeInPieces(file, tensors, random);
      requireSame(file, tensors, expected, "seed " + seed + " round " + round);
    }
  }

  @Test
  void largeTensorsCrossTheBuffer() throws Exception {
    byte[] bytes = new byte[(5 << 19) + 3];
    new Random(1).nextBytes(bytes);
    TensorInfo tensor = new TensorInfo("x", DType.U8, List.of((long) bytes.length));
    Path file = folder.resolve("large.safetensors");
    try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(tensor), Map.of())) {
      writer.write("x", MemorySegment.ofArray(bytes));
      writer.finish();
    }
    requireSame(file, List.of(tensor), Map.of("x", bytes), "large");
  }

  @Test
  void whatIsNotFinishedIsRefused() throws Exception {
    TensorInfo tensor = new TensorInfo("x", DType.F32, List.of(2L));
    Path file = folder.resolve("unfinished.safetensors");
    try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(tensor), Map.of())) {
      writer.write("x", MemorySegment.ofArray(new byte[4]));
      assertThrows(IllegalStateException.class, writer::finish);
      writer.write("x", MemorySegment.ofArray(new byte[4]));
      assertThrows(
          IllegalArgumentException.class,
          () -> writer.write("x", MemorySegment.ofArray(new byte[1])));
      assertThrows(
          IllegalArgumentException.class,
          () -> writer.write("y", MemorySegment.ofArray(new byte[1])));
    }
    assertThrows(ModelFormatException.class, () -> SafetensorsFile.read(file));
    assertThrows(
        FileAlreadyExistsException.class,
        () -> SafetensorsWriter.create(file, List.of(tensor), Map.of()));
  }

  @Test
  void refusesTwoTensorsOfOneName() {
    TensorInfo tensor = new TensorInfo("x", DType.F32, List.of());
    assertThrows(
        IllegalArgumentException.class,
        () ->
            SafetensorsWriter.create(
                folder.resolve("twice.safetensors"), List.of(tensor, tensor), Map.of()));
  }

  private static Map<String, byte[]> writeInPieces(
      Path file, List<TensorInfo> tensors, Random random) throws Exception {
    Map<String, byte[]> expected = new HashMap<>();
    Map<String, Integer> written = new HashMap<>();
    for (TensorInfo tensor : tensors) {
      byte[] bytes = new byte[(int) tensor.bytes()];
      random.nextBytes(bytes);
      expected.put(tensor.name(), bytes);
      written.put(tensor.name(), 0);
    }
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(file, tensors, Map.of("made by", "test \u2603"))) {
      List<String> open = new ArrayList<>(expected.keySet());
      while (!open.isEmpty()) {
        String name = open.get(random.nextInt(open.size()));
        byte[] bytes = expected.get(name);
        int from = written.get(name);
        int length = random.nextInt(bytes.length - from + 1);
        writer.write(name, MemorySegment.ofArray(bytes).asSlice(from, length));
        written.put(name, from + length);
        if (from + length == bytes.length) {
          open.remove(name);
        }
      }
      writer.finish();
    }
    return expected;
  }

  private static void requireSame(
      Path file, List<TensorInfo> tensors, Map<String, byte[]> expected, String message)
      throws Exception {
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsFile read = SafetensorsFile.read(file);
      MemorySegment data = read.map(arena);
      assertEquals(tensors.size(), read.header().entries().size(), message);
      assertEquals(0, read.dataOffset() % 64, message);
      for (SafetensorsHeader.Entry entry : read.header().entries()) {
        TensorInfo tensor = entry.info();
        assertTrue(tensors.contains(tensor), message);
        assertEquals(0, entry.begin() % tensor.dtype().bytes(), message);
        MemorySegment wanted = MemorySegment.ofArray(expected.get(tensor.name()));
        assertEquals(-1, wanted.mismatch(data.asSlice(entry.begin(), tensor.bytes())), message);
      }
    }
    Files.delete(file);
  }
}
