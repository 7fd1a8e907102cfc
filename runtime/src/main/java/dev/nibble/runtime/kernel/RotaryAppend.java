package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.rope_append_args;
import dev.nibble.bindings.kernels.rope_append_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches rope_append: norms and rotation of queries and keys, append to the cache. */
public final class RotaryAppend {
  private static final int WARP = 32;

  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public RotaryAppend(KernelCatalog kernels) {
    kernel = kernels.kernel("rope_append", "rope_append");
    args = kernel.newArguments(rope_append_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * Enqueues the work for tokens of one sequence. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param heads what is done to queries and keys
   * @param cache its layout
   * @param layerOffset bytes from the start of a sequence's block to the layer's region
   * @param q fp16 [rows, heads * headDim], changed in place
   * @param k fp16 [rows, kvHeads * headDim]
   * @param v as k, with its stride
   * @param rows at least 1
   * @param positions int32 [rows]
   * @param caches address of the sequence's block
   */
  public void launch(
      Stream stream,
      AttentionHeads heads,
      KvLayout cache,
      long layerOffset,
      MatrixRows q,
      MatrixRows k,
      MatrixRows v,
      int rows,
      DeviceRange positions,
      DeviceRange caches) {
    heads.check(cache);
    int headDim = cache.headDim();
    int kvHeads = cache.kvHeads();
    if (k.stride() != v.stride()) {
      throw new IllegalArgumentException("keys and values differ in stride");
    }
    long queries = q.require("queries", rows, (long) heads.heads() * headDim, Short.BYTES, 2);
    StructPointers.set(args, rope_append_args.q$offset(), queries);
    StructPointers.set(args, rope_append_args.q_out$offset(), queries);
    StructPointers.set(
        args,
        rope_append_args.k$offset(),
        k.require("keys", rows, (long) kvHeads * headDim, Short.BYTES, 2));
    StructPointers.set(
        args,
        rope_append_args.v$offset(),
        v.require("values", rows, (long) kvHeads * headDim, Short.BYTES, 2));
    StructPointers.set(
        args,
        rope_append_args.positions$offset(),
        positions.require("positions", (long) Integer.BYTES * rows));
    StructPointers.set(
        args, rope_append_args.caches$offset(), caches.require("caches", Long.BYTES));
    StructPointers.set(
        args, rope_append_args.cosines$offset(), AttentionHeads.address(heads.cosines()));
    StructPointers.set(
        args, rope_append_args.sines$offset(), AttentionHeads.address(heads.sines()));
    StructPointers.set(
        args, rope_append_args.order$offset(), AttentionHeads.address(heads.order()));
    StructPointers.set(
        args, rope_append_args.q_norm$offset(), AttentionHeads.address(heads.queryNorm()));
    StructPointers.set(
        args, rope_append_args.k_norm$offset(), AttentionHeads.address(heads.keyNorm()));
    rope_append_args.layer_offset(args, layerOffset);
    rope_append_args.capacity(args, cache.capacity());
    rope_append_args.q_stride(args, q.stride());
    rope_append_args.kv_stride(args, k.stride());
    rope_append_args.q_out_stride(args, q.stride());
    rope_append_args.heads(args, heads.heads());
    rope_append_args.kv_heads(args, kvHeads);
    rope_append_args.head_dim(args, headDim);
    rope_append_args.kv_bits(args, cache.bits());
    rope_append_args.query_bits(args, heads.queryBits());
    rope_append_args.cache_step(args, 0);
    rope_append_args.epsilon(args, heads.epsilon());
    int warps = rope_append_h.ROPE_APPEND_WARPS();
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(rows, Math.ceilDiv(heads.heads() + 2 * kvHeads, warps), 1),
            Dim3.of(WARP * warps),
            0,
            start),
        args);
  }
}
