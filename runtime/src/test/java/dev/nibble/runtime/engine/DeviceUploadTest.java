package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.FakeDevice;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.model.ModelWeights;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceUploadTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());
  private static final int[] SIZES = {1, 63, 64, 4096, 100_001, 9 << 20, 7, (2 << 20) + 1, 5 << 20};

  /** Notes what it is told. */
  private static final class Sums implements ModelWeights.Memory {
    private final List<Integer> told = new ArrayList<>();

    @Override
    public void wasRead(MemorySegment data, int crc32c) {
      told.add(crc32c);
    }

    @Override
    public void close() {}
  }

  /** Few bytes go through two buffers by one thread, many through more of both. */
  @ParameterizedTest
  @ValueSource(longs = {1, 5 << 20, 1L << 40})
  void everyByteArrivesAndIsSummed(long told) {
    Random random = new Random(SEED);
    FakeDevice fake = FakeDevice.sound();
    Sums sums = new Sums();
    List<Integer> expected = new ArrayList<>();
    try (Device device = fake.open();
        Arena arena = Arena.ofShared()) {
      Stream stream = device.newStream();
      List<byte[]> sources = new ArrayList<>();
      List<DeviceBuffer> targets = new ArrayList<>();
      try (DeviceUpload upload = DeviceUpload.of(device, stream, told, sums)) {
        for (int i = 0; i < SIZES.length; i++) {
          byte[] bytes = new byte[SIZES[i]];
          random.nextBytes(bytes);
          sources.add(bytes);
          DeviceBuffer target = device.allocate(bytes.length);
          targets.add(target);
          MemorySegment source = MemorySegment.ofArray(bytes);
          if (i % 3 != 0) {
            source = arena.allocate(bytes.length).copyFrom(source);
            CRC32C crc = new CRC32C();
            crc.update(bytes);
            expected.add((int) crc.getValue());
          }
          upload.send(source, DeviceRange.of(target));
        }
      }
      assertEquals(expected, sums.told);
      for (int i = 0; i < SIZES.length; i++) {
        assertArrayEquals(sources.get(i), download(device, stream, targets.get(i)), "tensor " + i);
      }
    }
    assertEquals(List.of(), fake.live());
  }

  private static byte[] download(Device device, Stream stream, DeviceBuffer source) {
    try (PinnedBuffer staging = device.allocatePinned(source.bytes())) {
      source.download(stream, 0, staging, 0, source.bytes());
      stream.synchronize();
      return staging.segment().toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 1L << 40})
  void aWrongSumEndsIt(long told) {
    FakeDevice fake = FakeDevice.sound();
    ModelFormatException wrong = new ModelFormatException(Path.of("file"), "tensor", "wrong");
    ModelWeights.Memory memory =
        new ModelWeights.Memory() {
          @Override
          public void wasRead(MemorySegment data, int crc32c) throws ModelFormatException {
            throw wrong;
          }

          @Override
          public void close() {}
        };
    try (Device device = fake.open();
        Arena arena = Arena.ofShared()) {
      DeviceRange target = DeviceRange.of(device.allocate(3 << 20));
      DeviceUpload upload = DeviceUpload.of(device, device.newStream(), told, memory);
      upload.send(arena.allocate(3 << 20), target);
      assertSame(wrong, assertThrows(UncheckedIOException.class, upload::close).getCause());
    }
    assertEquals(List.of(), fake.live());
  }
}
