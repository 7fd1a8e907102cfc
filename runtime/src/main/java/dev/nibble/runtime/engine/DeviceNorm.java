package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.NormQuantizer;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.model.Norm;
import org.jspecify.annotations.Nullable;

/** A norm in device memory. */
final class DeviceNorm {
  private final NormQuantizer.Kind kind;
  private final int columns;
  private final float epsilon;
  private final DevicePlan.Piece weight;
  private final DevicePlan.@Nullable Piece bias;
  private final DevicePlan.@Nullable Piece order;

  DeviceNorm(DeviceVectors vectors, Norm norm, float epsilon) {
    kind =
        switch (norm.kind()) {
          case RMS -> NormQuantizer.Kind.RMS;
          case LAYER -> NormQuantizer.Kind.LAYER;
        };
    columns = norm.weight().length;
    this.epsilon = epsilon;
    weight = vectors.floats(norm.weight());
    bias = vectors.floats(norm.bias());
    order = norm.channelOrder().map(vectors::shorts).orElse(null);
  }

  private static @Nullable DeviceRange range(DevicePlan.@Nullable Piece piece) {
    return piece == null ? null : piece.range();
  }

  /** For the norm's own kernel. */
  NormQuantizer.Weights weights() {
    return new NormQuantizer.Weights(
        kind, columns, epsilon, weight.range(), range(bias), range(order));
  }

  /** For the product that follows it, which can do a plain RMSNorm itself; else null. */
  PackedGemv.@Nullable Norm fused() {
    return kind == NormQuantizer.Kind.RMS && bias == null
        ? new PackedGemv.Norm(weight.range(), range(order), epsilon)
        : null;
  }

  /** The weight alone, for norms of heads. */
  DeviceRange vector() {
    return weight.range();
  }
}
