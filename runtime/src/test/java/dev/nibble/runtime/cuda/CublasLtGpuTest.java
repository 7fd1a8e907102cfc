package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.GpuTest;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

@GpuTest
class CublasLtGpuTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  /** fp16 results of 72 products of numbers below 1. */
  private static final double ERROR = 0.02;

  @Test
  void productsAreThoseOfLoops() {
    int tokens = 5;
    int rows = 40;
    int columns = 72;
    Random random = new Random(SEED);
    try (Device device = Device.open(0)) {
      CublasLt library = CublasLt.open(device).orElseThrow();
      Stream stream = device.newStream();
      short[] w = halves(random, rows * columns);
      short[] x = halves(random, tokens * columns);
      DeviceBuffer y = device.allocate(2L * tokens * rows);
      PinnedBuffer result = device.allocatePinned(y.bytes());
      try (library;
          CublasLt.Product product = library.product(tokens, rows, columns)) {
        product.multiply(stream, upload(device, stream, w), upload(device, stream, x), y);
        y.download(stream, 0, result, 0, y.bytes());
        stream.synchronize();
      }
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

  private static short[] halves(Random random, int count) {
    short[] halves = new short[count];
    for (int i = 0; i < count; i++) {
      halves[i] = Float.floatToFloat16(random.nextFloat() - 0.5f);
    }
    return halves;
  }

  private static DeviceBuffer upload(Device device, Stream stream, short[] values) {
    DeviceBuffer buffer = device.allocate(2L * values.length);
    try (PinnedBuffer staging = device.allocatePinned(buffer.bytes())) {
      for (int i = 0; i < values.length; i++) {
        staging.segment().setAtIndex(ValueLayout.JAVA_SHORT, i, values[i]);
      }
      buffer.upload(stream, 0, staging, 0, buffer.bytes());
      stream.synchronize();
    }
    return buffer;
  }
}
