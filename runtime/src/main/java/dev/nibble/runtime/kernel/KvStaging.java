package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.kv_stage_args;
import dev.nibble.bindings.kernels.kv_stage_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches kv_stage: a layer's quantized keys and values as fp16. */
public final class KvStaging {
  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public KvStaging(KernelCatalog kernels) {
    kernel = kernels.kernel("kv_stage", "kv_stage");
    args = kernel.newArguments(kv_stage_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * Enqueues the restoring of a layer's first positions. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param cache layout of the quantized cache
   * @param region the layer's part of a sequence's block
   * @param stage layout of what is restored, at 16 bits, for as many positions
   * @param restored a region of it
   * @param positions at least 1
   */
  public void launch(
      Stream stream,
      KvLayout cache,
      DeviceRange region,
      KvLayout stage,
      DeviceRange restored,
      int positions) {
    if (positions < 1 || positions > stage.capacity() || positions > cache.capacity()) {
      throw new IllegalArgumentException(
          positions + " positions of " + cache.capacity() + " into " + stage.capacity());
    }
    StructPointers.set(
        args, kv_stage_args.region$offset(), region.require("cache", cache.regionBytes()));
    long keys = restored.require("stage", stage.regionBytes());
    StructPointers.set(args, kv_stage_args.keys$offset(), keys);
    StructPointers.set(args, kv_stage_args.values$offset(), keys + stage.valuesOffset());
    kv_stage_args.capacity(args, cache.capacity());
    kv_stage_args.stage_capacity(args, stage.capacity());
    kv_stage_args.positions(args, positions);
    kv_stage_args.kv_heads(args, cache.kvHeads());
    kv_stage_args.head_dim(args, cache.headDim());
    kv_stage_args.kv_bits(args, cache.bits());
    int threads = kv_stage_h.KV_STAGE_THREADS();
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(Math.ceilDiv(positions, threads), cache.kvHeads(), 2),
            Dim3.of(threads),
            0,
            start),
        args);
  }
}
