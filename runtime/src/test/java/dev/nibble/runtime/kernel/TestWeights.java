package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.QuantizedActivations;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/**
 * Random weights on the host and on a device.
 *
 * @param matrix on the host
 * @param device on the device
 */
record TestWeights(WeightMatrix matrix, DeviceWeights device) {
  /** All widths, groups, and kinds of zeros. */
  static Stream<String> packedForms() {
    return Stream.of("W2", "W3", "W4", "W6", "W8")
        .flatMap(width -> Stream.of("", "g32", "g64", "g128").map(group -> width + "A16" + group))
        .flatMap(form -> Stream.of(form, form + "sym"));
  }

  /** Codes, scales and zeros of each value they may have; the padding of rows is random too. */
  static TestWeights packed(GpuFixture gpu, Random random, String form, int rows, int columns) {
    QuantScheme scheme = QuantScheme.parse(form);
    int bits = scheme.weightBits();
    PackedLayout layout = new PackedLayout(bits, rows, columns, scheme.groupSize());
    byte[] codes = new byte[rows * columns];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = (byte) random.nextInt(1 << bits);
    }
    MemorySegment qweight = MemorySegment.ofArray(new byte[(int) layout.qweightBytes()]);
    layout.pack(codes, qweight);
    short[] scales = new short[(int) layout.scaleCount()];
    byte[] zeros = new byte[scales.length];
    for (int row = 0; row < rows; row++) {
      for (int group = 0; group < layout.groups(); group++) {
        int at = (int) layout.scaleIndex(row, group);
        scales[at] = Float.floatToFloat16((0.5f + random.nextFloat()) / (1 << bits));
        zeros[at] = (byte) random.nextInt(1 << bits);
      }
    }
    MemorySegment points = scheme.symmetric() ? null : MemorySegment.ofArray(zeros);
    return new TestWeights(
        new WeightMatrix.Packed(layout, qweight, MemorySegment.ofArray(scales), points),
        new DeviceWeights.Packed(
            layout,
            gpu.upload(qweight),
            gpu.shorts(scales),
            points == null ? null : gpu.upload(points)));
  }

  static TestWeights dense(GpuFixture gpu, Random random, DType dtype, int rows, int columns) {
    short[] data = new short[rows * columns];
    for (int i = 0; i < data.length; i++) {
      float value = (float) random.nextGaussian();
      data[i] =
          dtype == DType.F16
              ? Float.floatToFloat16(value)
              : (short) (Float.floatToIntBits(value) >>> 16);
    }
    return new TestWeights(
        new WeightMatrix.Dense(dtype, rows, columns, MemorySegment.ofArray(data)),
        new DeviceWeights.Dense(dtype, rows, columns, gpu.shorts(data)));
  }

  DeviceWeights.Packed packed() {
    return (DeviceWeights.Packed) device;
  }

  DeviceWeights.Dense dense() {
    return (DeviceWeights.Dense) device;
  }

  int rows() {
    return matrix.rows();
  }

  int columns() {
    return matrix.columns();
  }

  /** x W^T in double, [tokens, rows]. */
  float[] product(float[] x) {
    int tokens = x.length / columns();
    float[] y = new float[tokens * rows()];
    try (ScalarOperations oracle = new ScalarOperations();
        Arena arena = Arena.ofConfined()) {
      PreparedMatrix prepared = oracle.prepare(matrix, arena);
      oracle.matmul(x, 0, tokens, prepared, y, 0);
    }
    return y;
  }

  /** The same of x in codes. */
  float[] product(float[] x, QuantizedActivations codes) {
    int tokens = x.length / columns();
    float[] y = new float[tokens * rows()];
    try (ScalarOperations oracle = new ScalarOperations();
        Arena arena = Arena.ofConfined()) {
      PreparedMatrix prepared = oracle.prepare(matrix, arena);
      oracle.quantize(x, 0, tokens, codes);
      oracle.matmul(codes, prepared, y, 0);
    }
    return y;
  }

  /** Sums of the rows of weights. */
  float[] rowSums() {
    float[] ones = new float[columns()];
    Arrays.fill(ones, 1);
    return product(ones);
  }

  void free(GpuFixture gpu) {
    switch (device) {
      case DeviceWeights.Packed packed -> {
        gpu.free(packed.codes());
        gpu.free(packed.scales());
        if (packed.zeros() != null) {
          gpu.free(packed.zeros());
        }
      }
      case DeviceWeights.Dense dense -> gpu.free(dense.data());
    }
  }

  /** Rows from {@code from} on of a product [tokens, all rows]. */
  static float[] part(float[] y, int allRows, int tokens, int from, int rows) {
    float[] part = new float[tokens * rows];
    for (int t = 0; t < tokens; t++) {
      System.arraycopy(y, t * allRows + from, part, t * rows, rows);
    }
    return part;
  }
}
