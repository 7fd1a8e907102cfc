package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Random inputs from one seed, and the one tolerance rule of these tests. */
final class Samples {
  /** Copying, norms, RoPE, SwiGLU. */
  static final double PLAIN = 1e-7;

  static final double SOFTMAX = 1e-6;

  /** Weights of any width with float inputs. */
  static final double MATMUL = 1e-5;

  /** The common limit is 5e-4, for halves; floats stay far below it, and mistakes do not. */
  static final double ATTENTION = 1e-9;

  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);

  private final Random random = new Random(SEED);

  static String seed() {
    return "-Dtests.seed=" + SEED;
  }

  Random random() {
    return random;
  }

  int between(int low, int high) {
    return low + random.nextInt(high - low + 1);
  }

  float[] floats(int length) {
    return floats(length, 1);
  }

  float[] floats(int length, double deviation) {
    float[] x = new float[length];
    for (int i = 0; i < length; i++) {
      x[i] = (float) (random.nextGaussian() * deviation);
    }
    return x;
  }

  /** Random codes, scales and zeros. */
  WeightMatrix.Packed packed(PackedLayout layout, boolean symmetric) {
    byte[] codes = new byte[layout.rows() * layout.columns()];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(1 << layout.bits());
    }
    MemorySegment qweight = MemorySegment.ofArray(new byte[(int) layout.qweightBytes()]);
    layout.pack(codes, qweight);
    byte[] zeros = new byte[(int) layout.scaleCount()];
    MemorySegment scales = MemorySegment.ofArray(new byte[2 * zeros.length]);
    for (int n = 0; n < layout.rows(); n++) {
      for (int g = 0; g < layout.groups(); g++) {
        long at = layout.scaleIndex(n, g);
        float scale = (0.5f + random.nextFloat()) / (1 << layout.bits());
        scales.setAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16(scale));
        zeros[(int) at] = (byte) random.nextInt(1 << layout.bits());
      }
    }
    @Nullable MemorySegment points = symmetric ? null : MemorySegment.ofArray(zeros);
    return new WeightMatrix.Packed(layout, qweight, scales, points);
  }

  /** One weight, by the layout's own accessors. */
  static double weight(WeightMatrix.Packed w, int row, int column) {
    PackedLayout layout = w.layout();
    long at = layout.scaleIndex(row, layout.group(column));
    @Nullable MemorySegment zeros = w.zeros();
    int zero =
        zeros == null
            ? layout.impliedZero()
            : Byte.toUnsignedInt(zeros.get(ValueLayout.JAVA_BYTE, at));
    short scale = w.scales().getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, at);
    return (layout.code(w.qweight(), row, column) - zero) * (double) Float.float16ToFloat(scale);
  }

  /** Sum of squared differences over sum of squares, at most {@code limit}; a NaN fails. */
  static void assertClose(float[] expected, float[] actual, double limit, String what) {
    assertEquals(expected.length, actual.length, what);
    double difference = 0;
    double energy = 0;
    for (int i = 0; i < expected.length; i++) {
      difference += Math.pow((double) expected[i] - actual[i], 2);
      energy += Math.pow(expected[i], 2);
    }
    double error = difference == 0 ? 0 : difference / energy;
    assertTrue(error <= limit, () -> what + ": NMSE " + error + " > " + limit + ", " + seed());
  }

  static void assertBits(float[] expected, float[] actual, String what) {
    assertEquals(-1, Arrays.mismatch(expected, actual), () -> what + ", " + seed());
  }
}
