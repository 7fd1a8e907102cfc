package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.GpuTest;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

@GpuTest
class CublasLtGpuTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  /** fp16 results of 72 products of numbers below 1. */
  private static final double ERROR = 0.02;

  @Test
  void productsOfHalvesAreThoseOfLoops() {
    int tokens = 5;
    int rows = 40;
    int columns = 72;
    Random random = new Random(SEED);
    try (Device device = Device.open(0)) {
      CublasLt library = CublasLt.open(device).orElseThrow();
      Stream stream = device.newStream();
      short[] w = halves(random, rows * columns);
      short[] x = halves(random, tokens * columns);
      DeviceRange y = DeviceRange.of(device.allocate(2L * tokens * rows));
      PinnedBuffer result = device.allocatePinned(y.bytes());
      DeviceRange matrix = upload(device, stream, MemorySegment.ofArray(w));
      DeviceRange inputs = upload(device, stream, MemorySegment.ofArray(x));
      try (library;
          CublasLt.Product product =
              library.product(CublasLt.Numbers.HALVES, tokens, rows, columns)) {
        for (int choice = 0; choice < product.choices(); choice++) {
          y.fill(stream, (byte) 0xff);
          product.multiply(stream, choice, matrix, inputs, y);
          y.download(stream, result, 0, y.bytes());
          stream.synchronize();
          for (int t = 0; t < tokens; t++) {
            for (int n = 0; n < rows; n++) {
              double sum = 0;
              for (int k = 0; k < columns; k++) {
                sum +=
                    (double) Float.float16ToFloat(w[n * columns + k])
                        * Float.float16ToFloat(x[t * columns + k]);
              }
              short found = result.segment().getAtIndex(ValueLayout.JAVA_SHORT, t * rows + n);
              assertEquals(sum, Float.float16ToFloat(found), ERROR, "-Dtests.seed=" + SEED);
            }
          }
        }
      }
    }
  }

  @Test
  void productsOfBytesAreThoseOfLoops() {
    int tokens = 16;
    int rows = 48;
    int columns = 64;
    Random random = new Random(SEED);
    try (Device device = Device.open(0)) {
      CublasLt library = CublasLt.open(device).orElseThrow();
      Stream stream = device.newStream();
      byte[] w = bytes(random, rows * columns);
      byte[] x = bytes(random, tokens * columns);
      DeviceRange y = DeviceRange.of(device.allocate((long) tokens * rows));
      PinnedBuffer result = device.allocatePinned(y.bytes());
      DeviceRange matrix = upload(device, stream, MemorySegment.ofArray(w));
      DeviceRange inputs = upload(device, stream, MemorySegment.ofArray(x));
      try (library;
          CublasLt.Product product =
              library.product(CublasLt.Numbers.BYTES, tokens, rows, columns)) {
        product.multiply(stream, 0, matrix, inputs, y);
        y.download(stream, result, 0, y.bytes());
        stream.synchronize();
        for (int t = 0; t < tokens; t++) {
          for (int n = 0; n < rows; n++) {
            int sum = 0;
            for (int k = 0; k < columns; k++) {
              sum += w[n * columns + k] * x[t * columns + k];
            }
            byte found = result.segment().get(ValueLayout.JAVA_BYTE, t * rows + n);
            assertEquals(Math.clamp(sum, -128, 127), found, "-Dtests.seed=" + SEED);
          }
        }
      }
    }
  }

  private static byte[] bytes(Random random, int count) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) (random.nextInt(7) - 3);
    }
    return bytes;
  }

  private static short[] halves(Random random, int count) {
    short[] halves = new short[count];
    for (int i = 0; i < count; i++) {
      halves[i] = Float.floatToFloat16(random.nextFloat() - 0.5f);
    }
    return halves;
  }

  private static DeviceRange upload(Device device, Stream stream, MemorySegment values) {
    DeviceBuffer buffer = device.allocate(values.byteSize());
    try (PinnedBuffer staging = device.allocatePinned(buffer.bytes())) {
      staging.segment().copyFrom(values);
      buffer.upload(stream, 0, staging, 0, buffer.bytes());
      stream.synchronize();
    }
    return DeviceRange.of(buffer);
  }
}
