package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.PackedLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RtnTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int[] COLUMNS = {1, 7, 31, 32, 33, 63, 65, 127, 128, 129, 511, 513};
  private static final int[] GROUPS = {0, 32, 64, 128};

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void agreesWithPlainLoops(int bits) {
    Random random = new Random(SEED + bits);
    for (int columns : COLUMNS) {
      for (int group : GROUPS) {
        for (boolean symmetric : new boolean[] {false, true}) {
          PackedLayout layout = new PackedLayout(bits, 65, columns, group);
          RowBlock block = new RowBlock(layout);
          Rtn rtn = symmetric ? Rtn.symmetric(layout) : Rtn.asymmetric(layout);
          for (int row : new int[] {0, 1, 17, 63}) {
            float[] weights = weights(random, columns, row);
            rtn.quantize(weights, row, block);
            for (int c = 0; c < columns; c++) {
              String where = layout + " row " + row + " column " + c + ", -Dtests.seed=" + SEED;
              check(weights, c, row, symmetric, layout, block, where);
            }
          }
        }
      }
    }
  }

  /** The reference's text, one weight at a time. */
  private static void check(
      float[] weights,
      int c,
      int row,
      boolean symmetric,
      PackedLayout layout,
      RowBlock block,
      String where) {
    int width = layout.groupSize() == 0 ? layout.columns() : layout.groupSize();
    int g = c / width;
    float low = 0;
    float high = 0;
    for (int k = g * width; k < Math.min((g + 1) * width, weights.length); k++) {
      low = weights[k] < low ? weights[k] : low;
      high = weights[k] > high ? weights[k] : high;
    }
    int top = (1 << layout.bits()) - 1;
    int half = 1 << (layout.bits() - 1);
    float h = symmetric ? (high > -low ? high : -low) / (half - 1) : (high - low) / top;
    h = Float.float16ToFloat(Float.floatToFloat16(h));
    int zero = half;
    int code = half;
    if (h > 0 && symmetric) {
      code = half + (int) limit(halfToEven(weights[c] / h), -half, half - 1);
    } else if (h > 0) {
      zero = (int) limit(halfToEven(-low / h), 0, top);
      code = (int) limit(halfToEven(weights[c] / h) + zero, 0, top);
    } else if (!symmetric) {
      zero = 0;
      code = 0;
    }
    int at = (int) layout.scaleIndex(row, g);
    assertEquals(h + 0f, Float.float16ToFloat(block.scales[at]), where);
    assertEquals(zero, block.zeros[at] & 0xff, where);
    assertEquals(code, block.codes[row * layout.paddedColumns() + c] & 0xff, where);
  }

  private static double limit(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
  }

  private static double halfToEven(double value) {
    double below = Math.floor(value);
    double rest = value - below;
    return rest < 0.5 || (rest == 0.5 && below % 2 == 0) ? below : below + 1;
  }

  /** Normal weights; every fourth row on a coarse grid, so that codes fall half way. */
  private static float[] weights(Random random, int columns, int row) {
    float[] weights = new float[columns];
    for (int c = 0; c < columns; c++) {
      weights[c] =
          row == 17
              ? (random.nextInt(31) - 10) * 0.25f
              : (float) (random.nextGaussian() * 0.02 + (row == 63 ? 0.1 : 0));
    }
    return weights;
  }

  @Test
  void roundsHalfToEven() {
    PackedLayout layout = new PackedLayout(4, 1, 8, 0);
    RowBlock block = new RowBlock(layout);
    float[] weights = {15, 0, 0.5f, 1.5f, 2.5f, 3.5f, 4.499f, 14.5f};
    Rtn.asymmetric(layout).quantize(weights, 0, block);
    byte[] codes = Arrays.copyOf(block.codes, 8);
    assertArrayEquals(new byte[] {15, 0, 0, 2, 2, 4, 4, 14}, codes);
  }

  @Test
  void reportsWhatIsRoundedAway() {
    PackedLayout layout = new PackedLayout(2, 1, 4, 0);
    RowBlock block = new RowBlock(layout);
    Rtn.asymmetric(layout).quantize(new float[] {0, 3, 1.25f, 2}, 0, block);
    assertEquals(0.0625, block.squaredError);
    assertEquals(9 + 1.5625 + 4, block.squaredNorm);
  }

  @Test
  void zerosAndTinyWeightsStaySmall() {
    for (boolean symmetric : new boolean[] {false, true}) {
      PackedLayout layout = new PackedLayout(4, 1, 64, 32);
      RowBlock block = new RowBlock(layout);
      float[] weights = new float[64];
      weights[40] = 1e-9f;
      weights[41] = -1e-38f;
      (symmetric ? Rtn.symmetric(layout) : Rtn.asymmetric(layout)).quantize(weights, 0, block);
      for (int c = 0; c < 64; c++) {
        int at = (int) layout.scaleIndex(0, c / 32);
        float scale = Float.float16ToFloat(block.scales[at]);
        float value = ((block.codes[c] & 0xff) - (block.zeros[at] & 0xff)) * scale;
        assertEquals(0f, value);
        assertTrue(c >= 32 || scale == 0);
      }
    }
  }

  @Test
  void refusesWhatHasNoScale() {
    PackedLayout layout = new PackedLayout(4, 1, 4, 0);
    RowBlock block = new RowBlock(layout);
    Rtn rtn = Rtn.asymmetric(layout);
    for (float bad :
        new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 1e30f}) {
      float[] weights = {1, bad, 0, 2};
      assertThrows(ArithmeticException.class, () -> rtn.quantize(weights, 0, block), "" + bad);
    }
    float[] spread = {Float.MAX_VALUE, -Float.MAX_VALUE, 0, 0};
    assertThrows(ArithmeticException.class, () -> rtn.quantize(spread, 0, block));
  }
}
