package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.outlier_columns_args;
import dev.nibble.bindings.kernels.outlier_columns_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches outlier_columns: what columns kept at 16 bits add to a product of packed weights. */
public final class OutlierProduct {
  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public OutlierProduct(KernelCatalog kernels) {
    kernel = kernels.kernel("outlier_columns", "outlier_columns");
    args = kernel.newArguments(outlier_columns_args.sizeof());
    start = kernels.earliestStart();
  }

  /** What becomes of the product. */
  public enum Result {
    /** It is stored as float. */
    STORE_FLOAT,
    /** It is added to float. */
    ADD_FLOAT,
    /** It is added to fp16. */
    ADD_HALF
  }

  /**
   * Columns of a linear kept at 16 bits.
   *
   * @param rows of the linear
   * @param columns int32, indices of the input's columns
   * @param weights fp16 [rows, columns]
   */
  public record Columns(int rows, DeviceRange columns, DeviceRange weights) {
    int count() {
      return Math.toIntExact(columns.bytes() / Integer.BYTES);
    }
  }

  /**
   * Enqueues a product. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param kept columns and their weights
   * @param x fp16 [tokens, inputs], not quantized
   * @param inputs columns of x
   * @param tokens at least 1
   * @param result what becomes of it
   * @param y [tokens, rows]
   */
  public void launch(
      Stream stream,
      Columns kept,
      MatrixRows x,
      int inputs,
      int tokens,
      Result result,
      MatrixRows y) {
    int rows = kept.rows();
    int count = kept.count();
    StructPointers.set(
        args,
        outlier_columns_args.weight$offset(),
        kept.weights()
            .require("outlier weights", Math.multiplyExact((long) Short.BYTES * rows, count)));
    StructPointers.set(
        args,
        outlier_columns_args.columns$offset(),
        kept.columns().require("outlier columns", (long) Integer.BYTES * count));
    StructPointers.set(
        args,
        outlier_columns_args.x$offset(),
        x.require("outlier input", tokens, inputs, Short.BYTES, 1));
    StructPointers.set(
        args,
        outlier_columns_args.y$offset(),
        y.require("y", tokens, rows, result == Result.ADD_HALF ? Short.BYTES : Float.BYTES, 1));
    outlier_columns_args.x_stride(args, x.stride());
    outlier_columns_args.y_stride(args, y.stride());
    outlier_columns_args.rows(args, rows);
    outlier_columns_args.count(args, count);
    outlier_columns_args.result(
        args,
        switch (result) {
          case STORE_FLOAT -> outlier_columns_h.OUTLIER_COLUMNS_STORE_F32();
          case ADD_FLOAT -> outlier_columns_h.OUTLIER_COLUMNS_ADD_F32();
          case ADD_HALF -> outlier_columns_h.OUTLIER_COLUMNS_ADD_F16();
        });
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(Math.ceilDiv(rows, outlier_columns_h.OUTLIER_COLUMNS_ROWS()), tokens, 1),
            Dim3.of(outlier_columns_h.OUTLIER_COLUMNS_THREADS()),
            0,
            start),
        args);
  }
}
