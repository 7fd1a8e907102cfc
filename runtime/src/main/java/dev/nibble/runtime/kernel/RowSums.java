package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.row_sums_args;
import dev.nibble.bindings.kernels.row_sums_h;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches row_sums: what the zeros of quantized inputs multiply. */
public final class RowSums {
  private final Kernel kernel;
  private final MemorySegment args;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public RowSums(KernelCatalog kernels) {
    kernel = kernels.kernel("row_sums", "row_sums");
    args = kernel.newArguments(row_sums_args.sizeof());
  }

  /**
   * Enqueues the sums over the columns of scale (code - zero). Asynchronous with respect to the
   * host.
   *
   * @param stream runs it
   * @param weights of a linear, or of several that lie one after the other
   * @param sums float [rows padded to 64], of the padding too
   */
  public void launch(Stream stream, DeviceWeights.Packed weights, DeviceRange sums) {
    PackedLayout layout = weights.layout();
    int rows = layout.paddedRows();
    StructPointers.set(args, row_sums_args.qweight$offset(), weights.codes().address());
    StructPointers.set(args, row_sums_args.scales$offset(), weights.scales().address());
    DeviceRange zeros = weights.zeros();
    StructPointers.set(args, row_sums_args.zeros$offset(), zeros == null ? 0 : zeros.address());
    StructPointers.set(
        args,
        row_sums_args.row_sums$offset(),
        sums.require("row sums", Math.multiplyExact((long) Float.BYTES, rows)));
    row_sums_args.padded_rows(args, rows);
    row_sums_args.columns(args, layout.columns());
    row_sums_args.bits(args, layout.bits());
    row_sums_args.group_size(args, layout.groupSize());
    kernel.launch(
        stream,
        LaunchConfig.of(
            Dim3.of(Math.ceilDiv(rows, row_sums_h.ROW_SUMS_ROWS())),
            Dim3.of(row_sums_h.ROW_SUMS_THREADS())),
        args);
  }
}
