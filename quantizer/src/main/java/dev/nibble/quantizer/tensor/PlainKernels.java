package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;

import dev.nibble.quantizer.format.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * The vector kernels' arithmetic in plain loops, to the same bits. They run until the JIT compiler
 * has come to the vector kernels, which before that are a hundred times slower than these.
 */
final class PlainKernels {
  private static final ValueLayout.OfInt WORD = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int[] words = new int[CodeWords.LONGEST_RUN * BLOCK / Integer.BYTES];
  private final int[] scaleWords = new int[BLOCK];
  private short[] halves = {};

  /** As {@link CodePanels#expand}. */
  void expand(CodeWords w, long at, int units, float[] panel) {
    int count = units * w.unitWords() * BLOCK;
    MemorySegment.copy(w.words(), WORD, at, words, 0, count);
    int bits = w.bits();
    int whole = Integer.SIZE / bits;
    int mask = (1 << bits) - 1;
    int p = 0;
    for (int u = 0; u < units; u++) {
      int first = u * w.unitWords() * BLOCK;
      for (int c = 0; c < w.unitColumns(); c++, p += BLOCK) {
        int place = c % whole * bits;
        int shift = CodePanels.shift(bits, c);
        if (c < whole * w.unitWords()) {
          spread(words, first + c / whole * BLOCK, place - shift, mask << shift, panel, p);
        } else {
          spreadRest(words, first, place, mask, panel, p);
        }
      }
    }
  }

  private static void spread(int[] words, int from, int down, int mask, float[] panel, int p) {
    for (int r = 0; r < BLOCK; r++) {
      panel[p + r] = (words[from + r] >>> down) & mask;
    }
  }

  /** Codes in the left-over bits of three words. */
  private static void spreadRest(int[] words, int from, int down, int mask, float[] panel, int p) {
    for (int r = from; r < from + BLOCK; r++) {
      int rest =
          (words[r] >>> 30)
              | ((words[r + BLOCK] >>> 30) << 2)
              | ((words[r + 2 * BLOCK] >>> 30) << 4);
      panel[p + r - from] = (rest >>> down) & mask;
    }
  }

  /** As {@link PanelKernels#one}. */
  static void one(float[] panel, int columns, float[] x, int at, float[] dots) {
    for (int r = 0; r < BLOCK; r++) {
      dots[r] = 0;
    }
    for (int k = 0; k < columns; k++) {
      step(panel, k * BLOCK, x[at + k], dots);
    }
  }

  private static void step(float[] panel, int p, float v, float[] dots) {
    for (int r = 0; r < BLOCK; r++) {
      dots[r] = Math.fma(panel[p + r], v, dots[r]);
    }
  }

  /** As {@link PanelKernels#add}, from the start of dots. */
  void add(CodeWords w, long at, float[] dots, float sum, float[] y, int yFrom) {
    MemorySegment.copy(w.words(), WORD, at, scaleWords, 0, BLOCK);
    for (int r = 0; r < BLOCK; r++) {
      int word = scaleWords[r];
      float scale =
          Float.intBitsToFloat((word >> 3) & PanelKernels.HALF_BITS) * PanelKernels.HALF_BIAS;
      float centred = Math.fma((float) (word & 0xff), -sum, dots[r]);
      y[yFrom + r] = Math.fma(scale, centred, y[yFrom + r]);
    }
  }

  /** As {@link DensePanels#convert}. */
  void convert(DType dtype, MemorySegment data, long index, int columns, float[] panel, int at) {
    if (dtype == DType.F32) {
      DensePanels.copy(data, index, columns, panel, at);
      return;
    }
    if (halves.length < columns) {
      halves = new short[columns];
    }
    MemorySegment.copy(data, HALF, index * Short.BYTES, halves, 0, columns);
    for (int i = 0; i < columns; i++) {
      panel[at + i] =
          dtype == DType.F16
              ? Float.float16ToFloat(halves[i])
              : Float.intBitsToFloat(halves[i] << 16);
    }
  }

  /** As {@link DensePanels#dot}. */
  static void dot(float[] panel, int columns, float[] x, int xAt, float[] sums, int at) {
    for (int r = 0; r < DensePanels.ROWS; r++) {
      int p = r * DensePanels.COLUMNS;
      for (int i = 0; i < columns; i += Lanes.COUNT) {
        for (int lane = 0; lane < Lanes.COUNT; lane++) {
          int s = at + r * Lanes.COUNT + lane;
          sums[s] = Math.fma(panel[p + i + lane], x[xAt + i + lane], sums[s]);
        }
      }
    }
  }
}
