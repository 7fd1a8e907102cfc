package dev.nibble.runtime;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.TensorInfo;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * A packed linear of random codes with everything a method may add: outlier columns, single values,
 * static clusters, a bias. It computes itself in double, from its parts as the format defines them.
 */
final class SyntheticLinear {
  /** Columns that share static quantization. */
  static final int CLUSTER = 32;

  private static final int OUTLIER_COLUMNS = 3;
  private static final int OUTLIER_VALUES = 11;

  private final ModuleName name;
  private final PackedLayout layout;
  private final boolean symmetric;
  private final int activationBits;
  private final double[] bias;
  private final byte[] codes;
  private final short[] scales;
  private final byte[] zeros;
  private int[] outlierColumns = {};
  private short[] outlierWeights = {};
  private final Map<Long, Short> outlierValues = new HashMap<>();
  private float[] clusterScales = {};
  private int[] clusterZeros = {};
  private int clusterBits;
  private float threshold = Float.POSITIVE_INFINITY;

  SyntheticLinear(
      String name, PackedLayout layout, boolean symmetric, int activationBits, Random random) {
    this.name = new ModuleName(name);
    this.layout = layout;
    this.symmetric = symmetric;
    this.activationBits = activationBits;
    bias = new double[layout.rows()];
    codes = new byte[layout.rows() * layout.columns()];
    scales = new short[(int) layout.scaleCount()];
    zeros = new byte[scales.length];
    double size = 4 / Math.sqrt(layout.columns()) / (1 << layout.bits());
    for (int r = 0; r < layout.rows(); r++) {
      bias[r] = (float) (random.nextGaussian() * 0.1);
      for (int g = 0; g < layout.groups(); g++) {
        int at = (int) layout.scaleIndex(r, g);
        scales[at] = Float.floatToFloat16((float) (size * (0.5 + random.nextDouble())));
        zeros[at] = (byte) (symmetric ? layout.impliedZero() : random.nextInt(1 << layout.bits()));
      }
      for (int c = 0; c < layout.columns(); c++) {
        codes[r * layout.columns() + c] = (byte) random.nextInt(1 << layout.bits());
      }
    }
  }

  /** Moves some columns out of the codes. */
  void addOutlierColumns(Random random) {
    outlierColumns =
        random.ints(0, layout.columns()).distinct().limit(OUTLIER_COLUMNS).sorted().toArray();
    outlierWeights = new short[layout.rows() * OUTLIER_COLUMNS];
    for (int r = 0; r < layout.rows(); r++) {
      for (int i = 0; i < OUTLIER_COLUMNS; i++) {
        outlierWeights[r * OUTLIER_COLUMNS + i] = half(random.nextGaussian() * 0.3);
        empty(r, outlierColumns[i]);
      }
    }
  }

  /** Moves some single weights out of the codes. */
  void addOutlierValues(Random random) {
    for (int i = 0; i < OUTLIER_VALUES; i++) {
      int row = random.nextInt(layout.rows());
      int column = random.nextInt(layout.columns());
      if (Arrays.binarySearch(outlierColumns, column) < 0) {
        outlierValues.put((long) row * layout.columns() + column, half(random.nextGaussian()));
        empty(row, column);
      }
    }
  }

  /** Quantizes the input with fixed scales, which move into the weights' scales. */
  void addClusters(int bits, float[] fixedScales, int[] fixedZeros) {
    clusterBits = bits;
    clusterScales = fixedScales;
    clusterZeros = fixedZeros;
    for (int r = 0; r < layout.rows(); r++) {
      for (int g = 0; g < layout.groups(); g++) {
        int at = (int) layout.scaleIndex(r, g);
        scales[at] = half(Float.float16ToFloat(scales[at]) * (double) fixedScales[g]);
      }
    }
  }

  /** Leaves inputs of this magnitude or more as they are. */
  void addThreshold(float magnitude) {
    threshold = magnitude;
  }

  /** y = W x + bias, with x quantized first where the scheme says so; x in stored order. */
  double[] apply(double[] x) {
    double[] y = bias.clone();
    double[] read = activationBits < 16 ? quantized(x) : x;
    for (int r = 0; r < layout.rows(); r++) {
      for (int c = 0; c < layout.columns(); c++) {
        y[r] += weight(r, c) * (isLoud(x[c]) ? x[c] : read[c]);
      }
      for (int i = 0; i < outlierColumns.length; i++) {
        y[r] += outlierWeight(r, i) * x[outlierColumns[i]];
      }
    }
    outlierValues.forEach((place, value) -> {
      int row = (int) (place / layout.columns());
      y[row] += Float.float16ToFloat(value) * x[(int) (place % layout.columns())];
    });
    return y;
  }

  /** The whole matrix without its clusters' scales, outliers included, [rows, columns]. */
  double[][] dense() {
    double[][] dense = new double[layout.rows()][layout.columns()];
    for (int r = 0; r < layout.rows(); r++) {
      for (int c = 0; c < layout.columns(); c++) {
        dense[r][c] = weight(r, c);
      }
      for (int i = 0; i < outlierColumns.length; i++) {
        dense[r][outlierColumns[i]] += outlierWeight(r, i);
      }
    }
    outlierValues.forEach((place, value) ->
        dense[(int) (place / layout.columns())][(int) (place % layout.columns())] +=
            Float.float16ToFloat(value));
    return dense;
  }

  double[] bias() {
    return bias.clone();
  }

  /** Adds the tensors of the packed folder. */
  void write(Map<TensorInfo, ByteBuffer> tensors) {
    int rows = layout.rows();
    byte[] qweight = new byte[(int) layout.qweightBytes()];
    layout.pack(codes, MemorySegment.ofArray(qweight));
    put(tensors, name.qweight(), DType.U8, ByteBuffer.wrap(qweight));
    put(tensors, name.scales(), DType.F16, halves(scales));
    if (!symmetric) {
      put(tensors, name.zeros(), DType.U8, ByteBuffer.wrap(zeros));
    }
    put(tensors, name.bias(), DType.F32, floats(storedBias()));
    if (outlierColumns.length > 0) {
      put(tensors, name.outlierColumns(), DType.I32, ints(outlierColumns));
      put(
          tensors,
          name.outlierWeight(),
          DType.F16,
          halves(outlierWeights),
          rows,
          outlierColumns.length);
      putValues(tensors);
    }
    if (!Float.isInfinite(threshold)) {
      put(tensors, name.outlierThreshold(), DType.F32, floats(new float[] {threshold}));
    }
    if (clusterScales.length > 0 && clusterBits != activationBits) {
      put(tensors, name.clusterBits(), DType.I32, ints(new int[] {clusterBits}));
    }
    if (clusterScales.length > 0) {
      put(tensors, name.clusterScales(), DType.F32, floats(clusterScales));
      put(tensors, name.clusterZeros(), DType.I32, ints(clusterZeros));
    }
  }

  static void put(
      Map<TensorInfo, ByteBuffer> tensors,
      String name,
      DType dtype,
      ByteBuffer data,
      long... shape) {
    List<Long> dimensions =
        shape.length == 0
            ? List.of((long) data.capacity() / dtype.bytes())
            : Arrays.stream(shape).boxed().toList();
    tensors.put(new TensorInfo(name, dtype, dimensions), data.rewind());
  }

  static ByteBuffer floats(float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  private void putValues(Map<TensorInfo, ByteBuffer> tensors) {
    int[] starts = new int[layout.rows() + 1];
    int[] columns = new int[outlierValues.size()];
    short[] values = new short[outlierValues.size()];
    int next = 0;
    for (int r = 0; r < layout.rows(); r++) {
      for (int c = 0; c < layout.columns(); c++) {
        Short value = outlierValues.get((long) r * layout.columns() + c);
        if (value != null) {
          columns[next] = c;
          values[next++] = value;
        }
      }
      starts[r + 1] = next;
    }
    put(tensors, name.outlierValues(), DType.F16, halves(values));
    put(tensors, name.outlierRows(), DType.I32, ints(starts));
    put(tensors, name.outlierIndices(), DType.I32, ints(columns));
  }

  /** b - sum_c S[n,c] z'_c sum_k (q - z_w), z' = z - 2^(A-1). */
  private float[] storedBias() {
    float[] stored = new float[bias.length];
    for (int r = 0; r < stored.length; r++) {
      double folded = bias[r];
      for (int c = 0; c < layout.columns() && clusterScales.length > 0; c++) {
        int signedZero = clusterZeros[c / CLUSTER] - (1 << (clusterBits - 1));
        folded -= scale(r, c) * signedZero * units(r, c);
      }
      stored[r] = (float) folded;
    }
    return stored;
  }

  /** The input as the integers stand for it; columns of outliers do not count. */
  private double[] quantized(double[] x) {
    double[] masked = x.clone();
    for (int column : outlierColumns) {
      masked[column] = 0;
    }
    for (int c = 0; c < x.length; c++) {
      masked[c] = isLoud(x[c]) ? 0 : masked[c];
    }
    boolean fixed = clusterScales.length > 0;
    int top = (1 << (fixed ? clusterBits : activationBits)) - 1;
    double low = Arrays.stream(masked).min().orElseThrow();
    double high = Arrays.stream(masked).max().orElseThrow();
    float step = (float) Math.clamp(((float) high - (float) low) / top, 1e-5, 1e4);
    double[] read = new double[x.length];
    for (int c = 0; c < x.length; c++) {
      float h = fixed ? clusterScales[c / CLUSTER] : step;
      double z = fixed ? clusterZeros[c / CLUSTER] : Math.rint(-(float) low / h);
      read[c] = (Math.clamp(Math.rint((float) masked[c] / h) + z, 0, top) - z) * h;
    }
    return read;
  }

  private boolean isLoud(double x) {
    return Math.abs(x) >= threshold;
  }

  private double weight(int row, int column) {
    double cluster = clusterScales.length > 0 ? clusterScales[column / CLUSTER] : 1;
    return scale(row, column) * units(row, column) / cluster;
  }

  private double scale(int row, int column) {
    return Float.float16ToFloat(scales[(int) layout.scaleIndex(row, layout.group(column))]);
  }

  private int units(int row, int column) {
    int zero = zeros[(int) layout.scaleIndex(row, layout.group(column))] & 0xff;
    return (codes[row * layout.columns() + column] & 0xff) - zero;
  }

  private double outlierWeight(int row, int i) {
    return Float.float16ToFloat(outlierWeights[row * outlierColumns.length + i]);
  }

  private void empty(int row, int column) {
    codes[row * layout.columns() + column] =
        zeros[(int) layout.scaleIndex(row, layout.group(column))];
  }

  private static short half(double value) {
    return Float.floatToFloat16((float) value);
  }

  private static ByteBuffer halves(short[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asShortBuffer().put(values);
    return bytes;
  }

  private static ByteBuffer ints(int[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(values);
    return bytes;
  }
}
