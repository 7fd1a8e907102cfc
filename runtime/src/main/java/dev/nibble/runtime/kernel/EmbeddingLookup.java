package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.embedding_args;
import dev.nibble.bindings.kernels.embedding_h;
import dev.nibble.quantizer.format.DType;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** Launches embedding: rows of tables start the residual stream. */
public final class EmbeddingLookup {
  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public EmbeddingLookup(KernelCatalog kernels) {
    kernel = kernels.kernel("embedding", "embedding");
    args = kernel.newArguments(embedding_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * A table of rows.
   *
   * @param dtype F32, F16 or BF16
   * @param rows how many
   * @param columns of a row
   * @param data row-major
   */
  public record Table(DType dtype, int rows, int columns, DeviceRange data) {
    private long require(String what) {
      return data.require(what, Math.multiplyExact((long) rows * columns, dtype.bytes()));
    }

    private int type() {
      return switch (dtype) {
        case F32 -> embedding_h.EMBEDDING_F32();
        case F16 -> embedding_h.EMBEDDING_F16();
        case BF16 -> embedding_h.EMBEDDING_BF16();
        case I8, U8, U16, I32, I64 -> throw new IllegalArgumentException("embedding of " + dtype);
      };
    }
  }

  /**
   * Enqueues out[row] = table[tokens[row]] + learned[positions[row]]. Asynchronous with respect to
   * the host.
   *
   * @param stream runs it
   * @param table of the vocabulary
   * @param learned of positions, if the model has them
   * @param tokens int32 [rows]
   * @param positions int32 [rows]
   * @param rows at least 1
   * @param out float, the residual stream
   */
  public void launch(
      Stream stream,
      Table table,
      @Nullable Table learned,
      DeviceRange tokens,
      DeviceRange positions,
      int rows,
      MatrixRows out) {
    long perRow = (long) Integer.BYTES * rows;
    StructPointers.set(args, embedding_args.table$offset(), table.require("embedding"));
    StructPointers.set(args, embedding_args.tokens$offset(), tokens.require("tokens", perRow));
    StructPointers.set(
        args, embedding_args.learned$offset(), learned == null ? 0 : learned.require("positions"));
    StructPointers.set(
        args, embedding_args.positions$offset(), positions.require("positions", perRow));
    StructPointers.set(
        args,
        embedding_args.out$offset(),
        out.require("residual", rows, table.columns(), Float.BYTES, 1));
    embedding_args.out_stride(args, out.stride());
    embedding_args.columns(args, table.columns());
    embedding_args.dtype(args, table.type());
    embedding_args.learned_dtype(args, learned == null ? 0 : learned.type());
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(rows, Math.ceilDiv(table.columns(), embedding_h.EMBEDDING_COLUMNS()), 1),
            Dim3.of(embedding_h.EMBEDDING_THREADS()),
            0,
            start),
        args);
  }
}
