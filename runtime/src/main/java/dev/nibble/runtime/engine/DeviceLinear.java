package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.CodeRule;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.OutlierProduct;
import dev.nibble.runtime.model.Linear;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Linears that read the same input, one after the other in device memory, each padded to 64 rows:
 * for a kernel they are one.
 */
final class DeviceLinear {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final List<Linear> parts;
  private final int rows;
  private final int columns;
  private final @Nullable PackedLayout layout;
  private final DType dtype;
  private final DevicePlan.Piece matrix;
  private final DevicePlan.@Nullable Piece scales;
  private final DevicePlan.@Nullable Piece zeros;
  private final DevicePlan.@Nullable Piece bias;
  private final @Nullable Codes codes;
  private final List<Kept> kept;

  /** Columns of a part that stay at 16 bits. */
  private record Kept(int part, DevicePlan.Piece columns, DevicePlan.Piece weights) {}

  /** How the input becomes codes, where it does. */
  private record Codes(
      int bits,
      DevicePlan.@Nullable Piece steps,
      DevicePlan.@Nullable Piece zeros,
      DevicePlan.@Nullable Piece outliers,
      DevicePlan.@Nullable Piece rowSums) {}

  /**
   * Plans the memory.
   *
   * @param parts linears that read their input alike
   * @param inputBits bits of the input, where it has no clusters of its own; 16 for fp16
   */
  DeviceLinear(DevicePlan plan, DeviceVectors vectors, List<Linear> parts, int inputBits) {
    this.parts = List.copyOf(parts);
    columns = parts.getFirst().in();
    rows =
        parts.size() == 1
            ? parts.getFirst().out()
            : parts.stream().mapToInt(DeviceLinear::paddedRows).sum();
    if (parts.getFirst().weights() instanceof WeightMatrix.Packed packed) {
      PackedLayout first = packed.layout();
      layout = new PackedLayout(first.bits(), rows, columns, first.groupSize());
      dtype = DType.U8;
      matrix = plan.reserve(layout.qweightBytes());
      scales = plan.reserve(Short.BYTES * layout.scaleCount());
      zeros = packed.zeros() == null ? null : plan.reserve(layout.scaleCount());
    } else {
      layout = null;
      dtype = half(((WeightMatrix.Dense) parts.getFirst().weights()).dtype());
      matrix = plan.reserve(Math.multiplyExact((long) rows * columns, Short.BYTES));
      scales = null;
      zeros = null;
    }
    bias =
        parts.stream().anyMatch(part -> part.bias().isPresent())
            ? plan.reserve((long) Float.BYTES * rows)
            : null;
    codes = inputBits == 16 ? null : codes(plan, vectors, parts.getFirst(), inputBits);
    kept = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      Linear.OutlierColumns columns = parts.get(i).outlierColumns().orElse(null);
      if (columns != null) {
        kept.add(
            new Kept(
                i,
                vectors.ints(columns.columns()),
                plan.reserve(columns.weights().data().byteSize())));
      }
    }
  }

  private DeviceLinear(DevicePlan.Piece table, Linear linear, WeightMatrix.Dense matrix) {
    parts = List.of(linear);
    rows = matrix.rows();
    columns = matrix.columns();
    layout = null;
    dtype = matrix.dtype();
    this.matrix = table;
    scales = null;
    zeros = null;
    bias = null;
    codes = null;
    kept = List.of();
  }

  /** A linear whose weights are a table that something else has filled. */
  static DeviceLinear over(DevicePlan.Piece table, Linear linear) {
    return new DeviceLinear(table, linear, (WeightMatrix.Dense) linear.weights());
  }

  private Codes codes(DevicePlan plan, DeviceVectors vectors, Linear reader, int inputBits) {
    DevicePlan.Piece outliers =
        reader.outlierColumns().map(kept -> vectors.ints(kept.columns())).orElse(null);
    return reader
        .clusters()
        .map(clusters ->
            new Codes(
                clusters.bits(),
                vectors.floats(clusters.scales()),
                vectors.ints(clusters.zeros()),
                outliers,
                null))
        .orElseGet(() ->
            new Codes(
                inputBits,
                null,
                null,
                outliers,
                plan.reserve((long) Float.BYTES * DeviceModel.padded(rows))));
  }

  /** The type that weights have on a device: those of 32 bits are rounded. */
  static DType half(DType dtype) {
    return dtype == DType.BF16 ? DType.BF16 : DType.F16;
  }

  private static int paddedRows(Linear linear) {
    return Math.multiplyExact(
        Math.ceilDiv(linear.out(), PackedLayout.ROW_BLOCK), PackedLayout.ROW_BLOCK);
  }

  /** Fills the memory. */
  void fill(DeviceContents contents) {
    fillKept(contents);
    long row = 0;
    long matrixAt = 0;
    long scalesAt = 0;
    for (Linear part : parts) {
      switch (part.weights()) {
        case WeightMatrix.Packed packed -> {
          long bytes = packed.layout().qweightBytes();
          contents.codes(packed, matrix.range().slice(matrixAt, bytes));
          matrixAt += bytes;
          long count = packed.layout().scaleCount();
          contents.scales(
              packed,
              Objects.requireNonNull(scales)
                  .range()
                  .slice(Short.BYTES * scalesAt, Short.BYTES * count));
          if (zeros != null) {
            contents.zeros(packed, zeros.range().slice(scalesAt, count));
          }
          scalesAt += count;
        }
        case WeightMatrix.Dense dense -> {
          matrixAt += fillDense(contents, dense, matrixAt);
          long padding =
              parts.size() == 1
                  ? 0
                  : (paddedRows(part) - part.out()) * (long) columns * Short.BYTES;
          if (padding > 0) {
            contents.send(
                MemorySegment.ofArray(new byte[Math.toIntExact(padding)]),
                matrix.range().slice(matrixAt, padding));
          }
          matrixAt += padding;
        }
      }
      if (bias != null) {
        float[] values = new float[parts.size() == 1 ? part.out() : paddedRows(part)];
        part.bias().ifPresent(b -> System.arraycopy(b, 0, values, 0, b.length));
        contents.send(
            MemorySegment.ofArray(values),
            bias.range().slice(Float.BYTES * row, (long) Float.BYTES * values.length));
        row += values.length;
      }
    }
  }

  private void fillKept(DeviceContents contents) {
    for (Kept columns : kept) {
      Linear.OutlierColumns source = parts.get(columns.part).outlierColumns().orElseThrow();
      contents.dense(source.weights(), columns.weights.range());
    }
  }

  /** Rounds floats to halves; what is 16 bits already stays as it is. Returns the bytes filled. */
  private long fillDense(DeviceContents contents, WeightMatrix.Dense dense, long at) {
    long elements = Math.multiplyExact((long) dense.rows(), dense.columns());
    DeviceRange target = matrix.range().slice(at, Short.BYTES * elements);
    if (dense.dtype() == DType.F32) {
      contents.send(halves(dense), target);
    } else {
      contents.dense(dense, target);
    }
    return target.bytes();
  }

  private static MemorySegment halves(WeightMatrix.Dense dense) {
    short[] halves = new short[Math.multiplyExact(dense.rows(), dense.columns())];
    for (int i = 0; i < halves.length; i++) {
      halves[i] = Float.floatToFloat16(dense.data().get(FLOAT, (long) Float.BYTES * i));
    }
    return MemorySegment.ofArray(halves);
  }

  /** The weights, once the plan is allocated. */
  DeviceWeights weights() {
    return layout == null
        ? new DeviceWeights.Dense(dtype, rows, columns, matrix.range())
        : new DeviceWeights.Packed(
            layout,
            matrix.range(),
            Objects.requireNonNull(scales).range(),
            zeros == null ? null : zeros.range());
  }

  /** The linears. */
  List<Linear> parts() {
    return parts;
  }

  /** Column of the output that a part starts at. */
  int offset(int part) {
    int offset = 0;
    for (int i = 0; i < part; i++) {
      offset += paddedRows(parts.get(i));
    }
    return offset;
  }

  /** Whether columns of some part stay at 16 bits. */
  boolean keepsColumns() {
    return !kept.isEmpty();
  }

  /** The columns of a part that stay at 16 bits, if there are any. */
  OutlierProduct.@Nullable Columns keptColumns(int part) {
    for (Kept columns : kept) {
      if (columns.part == part) {
        return new OutlierProduct.Columns(
            parts.get(part).out(), columns.columns.range(), columns.weights.range());
      }
    }
    return null;
  }

  /** Columns of the output. */
  int rows() {
    return rows;
  }

  int columns() {
    return columns;
  }

  /** float [rows], if there is one. */
  @Nullable DeviceRange bias() {
    return bias == null ? null : bias.range();
  }

  /** How the input becomes codes; null where it stays fp16. */
  @Nullable CodeRule rule() {
    if (codes == null) {
      return null;
    }
    DeviceRange outliers = codes.outliers == null ? null : codes.outliers.range();
    return codes.steps == null || codes.zeros == null
        ? new CodeRule(codes.bits, CodeRule.Range.ASYMMETRIC, null, null, outliers)
        : new CodeRule(
            codes.bits, CodeRule.Range.STATIC, codes.steps.range(), codes.zeros.range(), outliers);
  }

  /** Sums over each row of the weights, float, rows padded to 64; null where nothing needs them. */
  @Nullable MatrixRows rowSums() {
    return codes == null || codes.rowSums == null
        ? null
        : new MatrixRows(codes.rowSums.range(), DeviceModel.padded(rows));
  }
}
