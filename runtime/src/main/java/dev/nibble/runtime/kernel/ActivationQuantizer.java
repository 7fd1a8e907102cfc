package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.act_quant_args;
import dev.nibble.bindings.kernels.act_quant_h;
import dev.nibble.bindings.kernels.packed_layout_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches act_quant: fp16 activations to signed codes of 4 to 8 bits, token by token. */
public final class ActivationQuantizer {
  private static final int VECTOR = 8;

  private final Kernel kernel;
  private final MemorySegment args;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public ActivationQuantizer(KernelCatalog kernels) {
    kernel = kernels.kernel("act_quant", "act_quant");
    args = kernel.newArguments(act_quant_args.sizeof());
  }

  /** The range of the codes. */
  public enum Range {
    /** From the smallest value to the largest. */
    ASYMMETRIC,
    /** Zero in the middle. */
    SYMMETRIC
  }

  /**
   * What quantized tokens are kept in.
   *
   * @param columns of a token
   * @param groupColumns columns of a sum: 32, 64, 128, or {@code columns}
   * @param codes int8 [tokens, columns padded to 128]
   * @param scales float [tokens]
   * @param zeros float [tokens], moved as the codes are
   * @param sums int32 [tokens, ceil(columns / groupColumns)]
   */
  public record Output(
      int columns,
      int groupColumns,
      DeviceRange codes,
      DeviceRange scales,
      DeviceRange zeros,
      DeviceRange sums) {
    /** Checks the sizes. */
    public Output {
      if (columns < 1
          || (groupColumns != 32
              && groupColumns != 64
              && groupColumns != 128
              && groupColumns != columns)) {
        throw new IllegalArgumentException(
            columns + " columns in groups of " + groupColumns + ": expected 32, 64, 128 or all");
      }
    }

    /**
     * Codes from one token to the next.
     *
     * @return bytes
     */
    public long codeStride() {
      long unit = packed_layout_h.NIBBLE_COLUMN_UNIT();
      return Math.ceilDiv(columns, unit) * unit;
    }

    /**
     * Sums of a token.
     *
     * @return how many
     */
    public int groups() {
      return Math.ceilDiv(columns, groupColumns);
    }
  }

  /**
   * Enqueues the quantization of tokens. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param x fp16 [tokens, xStride], aligned to 16 bytes
   * @param xStride elements from one token to the next, a multiple of 8
   * @param tokens at least 1
   * @param bits 4 to 8
   * @param range of the codes
   * @param out receives codes, scales, zeros and sums
   */
  public void quantize(
      Stream stream, DeviceRange x, long xStride, int tokens, int bits, Range range, Output out) {
    if (tokens < 1 || bits < 4 || bits > 8 || xStride < out.columns() || xStride % VECTOR != 0) {
      throw new IllegalArgumentException(
          tokens + " tokens of stride " + xStride + " to " + bits + " bits");
    }
    long codeBytes = tokens * out.codeStride();
    long sumBytes = (long) Integer.BYTES * tokens * out.groups();
    long perToken = (long) Float.BYTES * tokens;
    StructPointers.set(
        args,
        act_quant_args.x$offset(),
        x.require("x", Short.BYTES * ((tokens - 1) * xStride + out.columns())));
    StructPointers.set(
        args, act_quant_args.codes$offset(), out.codes().require("codes", codeBytes));
    StructPointers.set(
        args, act_quant_args.scales$offset(), out.scales().require("scales", perToken));
    StructPointers.set(args, act_quant_args.zeros$offset(), out.zeros().require("zeros", perToken));
    StructPointers.set(args, act_quant_args.sums$offset(), out.sums().require("sums", sumBytes));
    act_quant_args.x_stride(args, xStride);
    act_quant_args.columns(args, out.columns());
    act_quant_args.group_columns(args, out.groupColumns());
    act_quant_args.bits(args, bits);
    act_quant_args.range(
        args,
        switch (range) {
          case ASYMMETRIC -> act_quant_h.ACT_QUANT_ASYMMETRIC();
          case SYMMETRIC -> act_quant_h.ACT_QUANT_SYMMETRIC();
        });
    kernel.launch(
        stream, LaunchConfig.of(Dim3.of(tokens), Dim3.of(act_quant_h.ACT_QUANT_THREADS())), args);
  }
}
