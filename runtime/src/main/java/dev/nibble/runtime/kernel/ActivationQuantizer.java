package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.act_quant_args;
import dev.nibble.bindings.kernels.act_quant_h;
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

  /**
   * Enqueues the quantization of tokens. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param x fp16, aligned to 16 bytes, its stride a multiple of 8
   * @param tokens at least 1
   * @param rule without fixed steps and outliers, which this kernel does not know
   * @param out receives codes, scales, zeros and sums
   */
  public void quantize(
      Stream stream, MatrixRows x, int tokens, CodeRule rule, ActivationCodes out) {
    if (rule.outliers() != null) {
      throw new IllegalArgumentException("outlier columns: expected none");
    }
    StructPointers.set(
        args,
        act_quant_args.x$offset(),
        x.require("x", tokens, out.columns(), Short.BYTES, VECTOR));
    StructPointers.set(args, act_quant_args.codes$offset(), out.requireCodes(tokens));
    StructPointers.set(args, act_quant_args.scales$offset(), out.requireScales(tokens));
    StructPointers.set(args, act_quant_args.zeros$offset(), out.requireZeros(tokens));
    StructPointers.set(args, act_quant_args.sums$offset(), out.requireSums(tokens));
    act_quant_args.x_stride(args, x.stride());
    act_quant_args.columns(args, out.columns());
    act_quant_args.group_columns(args, out.groupColumns());
    act_quant_args.bits(args, rule.bits());
    act_quant_args.range(
        args,
        switch (rule.range()) {
          case ASYMMETRIC -> act_quant_h.ACT_QUANT_ASYMMETRIC();
          case SYMMETRIC -> act_quant_h.ACT_QUANT_SYMMETRIC();
          case STATIC -> throw new IllegalArgumentException("fixed steps: expected none");
        });
    kernel.launch(
        stream, LaunchConfig.of(Dim3.of(tokens), Dim3.of(act_quant_h.ACT_QUANT_THREADS())), args);
  }
}
