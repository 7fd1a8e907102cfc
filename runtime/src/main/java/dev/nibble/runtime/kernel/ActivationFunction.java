package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.activation_args;
import dev.nibble.bindings.kernels.activation_h;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** Launches activation: the MLP's non-linearity, or none, and the quantization of what follows. */
public final class ActivationFunction {
  private static final int VECTOR = 8;
  private static final int USUAL_SHARED_BYTES = 48 << 10;

  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   * @param columns most columns of a row that is quantized
   */
  public ActivationFunction(KernelCatalog kernels, int columns) {
    kernel = kernels.kernel("activation", "activation");
    args = kernel.newArguments(activation_args.sizeof());
    start = kernels.earliestStart();
    int shared = Math.multiplyExact(Float.BYTES, columns);
    if (shared > USUAL_SHARED_BYTES) {
      kernel.allowSharedBytes(shared);
    }
  }

  /** The function. */
  public enum Kind {
    /** x. */
    NONE,
    /** silu(x) * up. */
    SWIGLU,
    /** gelu(x), the erf form. */
    GELU,
    /** max(x, 0). */
    RELU
  }

  /**
   * Enqueues the function. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param kind the function
   * @param x fp16 [rows, columns]
   * @param up fp16 with the stride of x, for {@link Kind#SWIGLU}
   * @param rows at least 1
   * @param columns of a row
   * @param y fp16 result, if wanted; may be x
   * @param rule how codes are made, if they are wanted
   * @param codes receives them
   */
  public void launch(
      Stream stream,
      Kind kind,
      MatrixRows x,
      @Nullable MatrixRows up,
      int rows,
      int columns,
      @Nullable MatrixRows y,
      @Nullable CodeRule rule,
      @Nullable ActivationCodes codes) {
    args.fill((byte) 0);
    StructPointers.set(
        args,
        activation_args.x$offset(),
        x.require("activation", rows, columns, Short.BYTES, VECTOR));
    if (up != null) {
      if (up.stride() != x.stride()) {
        throw new IllegalArgumentException("gate and up differ in stride");
      }
      StructPointers.set(
          args, activation_args.up$offset(), up.require("up", rows, columns, Short.BYTES, VECTOR));
    }
    if (y != null) {
      StructPointers.set(
          args,
          activation_args.y$offset(),
          y.require("activated", rows, columns, Short.BYTES, VECTOR));
      activation_args.y_stride(args, y.stride());
    }
    boolean quantized = rule != null && codes != null;
    if (rule != null && codes != null) {
      StructPointers.set(args, activation_args.codes$offset(), codes.requireCodes(rows));
      StructPointers.set(args, activation_args.scales$offset(), codes.requireScales(rows));
      StructPointers.set(args, activation_args.zeros$offset(), codes.requireZeros(rows));
      StructPointers.set(args, activation_args.sums$offset(), codes.requireSums(rows));
      long clusterBytes = columns / 32 * 4L;
      StructPointers.set(
          args,
          activation_args.static_steps$offset(),
          "cluster scales",
          rule.steps(),
          clusterBytes);
      StructPointers.set(
          args, activation_args.static_zeros$offset(), "cluster zeros", rule.zeros(), clusterBytes);
      StructPointers.set(args, activation_args.outliers$offset(), "outliers", rule.outliers(), 4);
      activation_args.outlier_count(args, rule.outlierCount());
      activation_args.group_columns(args, codes.groupColumns());
      activation_args.bits(args, rule.bits());
      activation_args.range(
          args,
          switch (rule.range()) {
            case ASYMMETRIC -> activation_h.ACTIVATION_ASYMMETRIC();
            case SYMMETRIC -> activation_h.ACTIVATION_SYMMETRIC();
            case STATIC -> activation_h.ACTIVATION_STATIC();
          });
    }
    activation_args.x_stride(args, x.stride());
    activation_args.columns(args, columns);
    activation_args.kind(
        args,
        switch (kind) {
          case NONE -> activation_h.ACTIVATION_NONE();
          case SWIGLU -> activation_h.ACTIVATION_SWIGLU();
          case GELU -> activation_h.ACTIVATION_GELU();
          case RELU -> activation_h.ACTIVATION_RELU();
        });
    kernel.launch(
        stream,
        new LaunchConfig(
            Dim3.of(rows),
            Dim3.of(activation_h.ACTIVATION_THREADS()),
            quantized ? Math.multiplyExact(Float.BYTES, columns) : 0,
            start),
        args);
  }
}
