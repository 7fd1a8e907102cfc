package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.row_norm_args;
import dev.nibble.bindings.kernels.row_norm_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Launches row_norm: an addition to the residual stream, its RMSNorm or LayerNorm, channel reorder
 * and quantization in one pass.
 */
public final class NormQuantizer {
  private static final int HALF_VECTOR = 8;
  private static final int ADDED_VECTOR = 4;
  private static final int USUAL_SHARED_BYTES = 48 << 10;

  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   * @param columns most columns of a row
   */
  public NormQuantizer(KernelCatalog kernels, int columns) {
    kernel = kernels.kernel("row_norm", "row_norm");
    args = kernel.newArguments(row_norm_args.sizeof());
    start = kernels.earliestStart();
    if (sharedBytes(columns) > USUAL_SHARED_BYTES) {
      kernel.allowSharedBytes(sharedBytes(columns));
    }
  }

  /** What a norm computes. */
  public enum Kind {
    /** x / rms(x). */
    RMS,
    /** (x - mean(x)) / deviation(x). */
    LAYER
  }

  /**
   * A norm.
   *
   * @param kind what it computes
   * @param columns of a row
   * @param epsilon added to the mean square or variance
   * @param weight float [columns]
   * @param bias float [columns]
   * @param order uint16 [columns]: the source channel of each output channel
   */
  public record Weights(
      Kind kind,
      int columns,
      float epsilon,
      DeviceRange weight,
      @Nullable DeviceRange bias,
      @Nullable DeviceRange order) {}

  /**
   * Enqueues a norm. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of the norm
   * @param x float, the residual stream; its stride a multiple of 4
   * @param firstRow row of x that output row 0 is made of
   * @param rows at least 1
   * @param y fp16 result, if wanted; its stride a multiple of 8
   * @param rule how codes are made, if they are wanted
   * @param codes receives them
   */
  public void launch(
      Stream stream,
      Weights weights,
      MatrixRows x,
      int firstRow,
      int rows,
      @Nullable MatrixRows y,
      @Nullable CodeRule rule,
      @Nullable ActivationCodes codes) {
    launch(stream, weights, x, null, firstRow, rows, y, rule, codes);
  }

  /**
   * Enqueues a norm of a sum. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param weights of the norm
   * @param x float, the residual stream; its stride a multiple of 4
   * @param delta fp16 rows that are added to those of x first, in place, if any; its stride a
   *     multiple of 4
   * @param firstRow row of x and delta that output row 0 is made of
   * @param rows at least 1
   * @param y fp16 result, if wanted; its stride a multiple of 8
   * @param rule how codes are made, if they are wanted
   * @param codes receives them
   */
  public void launch(
      Stream stream,
      Weights weights,
      MatrixRows x,
      @Nullable MatrixRows delta,
      int firstRow,
      int rows,
      @Nullable MatrixRows y,
      @Nullable CodeRule rule,
      @Nullable ActivationCodes codes) {
    int columns = weights.columns();
    long vectorBytes = (long) Float.BYTES * columns;
    args.fill((byte) 0);
    StructPointers.set(
        args,
        row_norm_args.x$offset(),
        x.require("residual", (long) firstRow + rows, columns, Float.BYTES, ADDED_VECTOR));
    if (delta != null) {
      StructPointers.set(
          args,
          row_norm_args.delta$offset(),
          delta.require("delta", (long) firstRow + rows, columns, Short.BYTES, ADDED_VECTOR));
      row_norm_args.delta_stride(args, delta.stride());
    }
    StructPointers.set(
        args, row_norm_args.weight$offset(), weights.weight().require("norm weight", vectorBytes));
    StructPointers.set(args, row_norm_args.bias$offset(), "norm bias", weights.bias(), vectorBytes);
    StructPointers.set(
        args,
        row_norm_args.order$offset(),
        "channel order",
        weights.order(),
        (long) Short.BYTES * columns);
    if (y != null) {
      StructPointers.set(
          args,
          row_norm_args.y$offset(),
          y.require("normed", rows, columns, Short.BYTES, HALF_VECTOR));
      row_norm_args.y_stride(args, y.stride());
    }
    if (rule != null && codes != null) {
      StructPointers.set(args, row_norm_args.codes$offset(), codes.requireCodes(rows));
      StructPointers.set(args, row_norm_args.scales$offset(), codes.requireScales(rows));
      StructPointers.set(args, row_norm_args.zeros$offset(), codes.requireZeros(rows));
      StructPointers.set(args, row_norm_args.sums$offset(), codes.requireSums(rows));
      long clusterBytes = columns / 32 * 4L;
      StructPointers.set(
          args, row_norm_args.static_steps$offset(), "cluster scales", rule.steps(), clusterBytes);
      StructPointers.set(
          args, row_norm_args.static_zeros$offset(), "cluster zeros", rule.zeros(), clusterBytes);
      StructPointers.set(args, row_norm_args.outliers$offset(), "outliers", rule.outliers(), 4);
      row_norm_args.outlier_count(args, rule.outlierCount());
      row_norm_args.group_columns(args, codes.groupColumns());
      row_norm_args.bits(args, rule.bits());
      row_norm_args.range(
          args,
          switch (rule.range()) {
            case ASYMMETRIC -> row_norm_h.ROW_NORM_ASYMMETRIC();
            case SYMMETRIC -> row_norm_h.ROW_NORM_SYMMETRIC();
            case STATIC -> row_norm_h.ROW_NORM_STATIC();
          });
    }
    row_norm_args.x_stride(args, x.stride());
    row_norm_args.columns(args, columns);
    row_norm_args.kind(
        args,
        switch (weights.kind()) {
          case RMS -> row_norm_h.ROW_NORM_RMS();
          case LAYER -> row_norm_h.ROW_NORM_LAYER();
        });
    row_norm_args.epsilon(args, weights.epsilon());
    row_norm_args.first_row(args, firstRow);
    kernel.launch(
        stream,
        new LaunchConfig(
            Dim3.of(rows), Dim3.of(row_norm_h.ROW_NORM_THREADS()), sharedBytes(columns), start),
        args);
  }

  private static int sharedBytes(int columns) {
    return Math.multiplyExact(Float.BYTES, columns);
  }
}
