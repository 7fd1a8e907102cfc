package dev.nibble.bench.kernel;

import dev.nibble.bench.LinearShape;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * A linear of random weights, whose deviation is about 1 / sqrt(columns).
 *
 * @param scheme of the weights
 * @param rows a multiple of 64, so that there is no padding
 * @param columns a multiple of 128
 * @param layout where codes lie; null for halves
 * @param matrix codes, or halves row by row
 * @param scales fp16; null for halves
 * @param zeros one a scale; null if symmetric, and for halves
 */
record HostLinear(
    QuantScheme scheme,
    int rows,
    int columns,
    @Nullable PackedLayout layout,
    MemorySegment matrix,
    @Nullable MemorySegment scales,
    @Nullable MemorySegment zeros) {
  /** Rows that are unpacked at once. */
  static final int BLOCK = PackedLayout.ROW_BLOCK;

  private static final long PIECE_BYTES = 1 << 20;
  private static final double UNIFORM_DEVIATION = Math.sqrt(12);
  private static final int HALF_BIAS = 15;

  /** Random weights. */
  static HostLinear random(LinearShape shape, QuantScheme scheme, Arena arena, long seed) {
    if (shape.rows() % BLOCK != 0 || shape.columns() % PackedLayout.COLUMN_UNIT != 0) {
      throw new IllegalArgumentException(
          shape.size() + ": expected multiples of 64 rows and 128 columns");
    }
    return scheme.quantizesWeights()
        ? packed(shape, scheme, arena, seed)
        : dense(shape, scheme, arena, seed);
  }

  private static HostLinear dense(LinearShape shape, QuantScheme scheme, Arena arena, long seed) {
    MemorySegment data = arena.allocate(2L * shape.rows() * shape.columns(), Long.BYTES);
    // Random sign and mantissa, and one exponent.
    long exponent = (HALF_BIAS - Math.round(Math.log(shape.columns()) / Math.log(2) / 2)) << 10;
    long everyHalf = 0x0001_0001_0001_0001L;
    fill(data, seed, 0x83ff * everyHalf, exponent * everyHalf);
    return new HostLinear(scheme, shape.rows(), shape.columns(), null, data, null, null);
  }

  private static HostLinear packed(LinearShape shape, QuantScheme scheme, Arena arena, long seed) {
    int bits = scheme.weightBits();
    PackedLayout layout = new PackedLayout(bits, shape.rows(), shape.columns(), scheme.groupSize());
    MemorySegment codes = arena.allocate(layout.qweightBytes(), Long.BYTES);
    fill(codes, seed, -1, 0);
    long count = layout.scaleCount();
    MemorySegment scales = arena.allocate(Short.BYTES * count, Short.BYTES);
    MemorySegment zeros = scheme.symmetric() ? null : arena.allocate(count);
    SplittableRandom random = new SplittableRandom(seed - 1);
    double step = UNIFORM_DEVIATION / ((1 << bits) * Math.sqrt(shape.columns()));
    for (long i = 0; i < count; i++) {
      short scale = Float.floatToFloat16((float) (step * (0.5 + random.nextDouble())));
      scales.setAtIndex(ValueLayout.JAVA_SHORT, i, scale);
      if (zeros != null) {
        int zero = Math.clamp((1 << (bits - 1)) + random.nextInt(3) - 1, 0, (1 << bits) - 1);
        zeros.set(ValueLayout.JAVA_BYTE, i, (byte) zero);
      }
    }
    return new HostLinear(scheme, shape.rows(), shape.columns(), layout, codes, scales, zeros);
  }

  private static void fill(MemorySegment segment, long seed, long and, long or) {
    LongStream.range(0, Math.ceilDiv(segment.byteSize(), PIECE_BYTES))
        .parallel()
        .forEach(piece -> {
          SplittableRandom random = new SplittableRandom(seed + piece);
          long end = Math.min(segment.byteSize(), (piece + 1) * PIECE_BYTES);
          for (long at = piece * PIECE_BYTES; at < end; at += Long.BYTES) {
            segment.set(ValueLayout.JAVA_LONG, at, (random.nextLong() & and) | or);
          }
        });
  }

  /** Bytes of the weights, scales and zeros. */
  long bytes() {
    return matrix.byteSize()
        + (scales == null ? 0 : scales.byteSize())
        + (zeros == null ? 0 : zeros.byteSize());
  }

  /**
   * What the weights stand for.
   *
   * @param first row, a multiple of {@link #BLOCK}
   * @return {@link #BLOCK} rows
   */
  double[][] block(int first) {
    double[][] values = new double[BLOCK][columns];
    if (layout == null || scales == null) {
      for (int r = 0; r < BLOCK; r++) {
        for (int c = 0; c < columns; c++) {
          long index = (long) (first + r) * columns + c;
          values[r][c] = Float.float16ToFloat(matrix.getAtIndex(ValueLayout.JAVA_SHORT, index));
        }
      }
      return values;
    }
    byte[] codes = new byte[BLOCK * columns];
    layout.unpackRows(matrix, first, BLOCK, 0, columns, codes);
    for (int r = 0; r < BLOCK; r++) {
      for (int c = 0; c < columns; c++) {
        long index = layout.scaleIndex(first + r, layout.group(c));
        int zero =
            zeros == null ? layout.impliedZero() : zeros.get(ValueLayout.JAVA_BYTE, index) & 0xff;
        float scale = Float.float16ToFloat(scales.getAtIndex(ValueLayout.JAVA_SHORT, index));
        values[r][c] = (double) ((codes[r * columns + c] & 0xff) - zero) * scale;
      }
    }
    return values;
  }
}
