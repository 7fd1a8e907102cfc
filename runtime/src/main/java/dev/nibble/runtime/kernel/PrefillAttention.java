package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.attention_prefill_args;
import dev.nibble.bindings.kernels.attention_prefill_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches attention_prefill: many tokens of one sequence, over keys and values of fp16. */
public final class PrefillAttention {
  private static final int VECTOR = 8;

  private final KvLayout cache;
  private final int sharedBytes;
  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel for a cache.
   *
   * @param kernels of the device
   * @param cache layout of the keys and values it reads, at 16 bits
   */
  public PrefillAttention(KernelCatalog kernels, KvLayout cache) {
    if (cache.bits() != 16) {
      throw new IllegalArgumentException("keys and values of " + cache.bits() + " bits");
    }
    this.cache = cache;
    int headDim = cache.headDim();
    boolean special = headDim == 64 || headDim == 128;
    sharedBytes =
        !special || !kernels.isHopper()
            ? attention_prefill_h.ATTENTION_PREFILL_SHARED_ANY()
            : headDim == 64
                ? attention_prefill_h.ATTENTION_PREFILL_SHARED_64()
                : attention_prefill_h.ATTENTION_PREFILL_SHARED_128();
    kernel =
        kernels.kernel(
            "attention_prefill",
            "attention_prefill_" + (special ? Integer.toString(headDim) : "any"));
    kernel.allowSharedBytes(sharedBytes);
    args = kernel.newArguments(attention_prefill_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * Enqueues the attention of a layer. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param region keys and values of the layer
   * @param heads query heads
   * @param window positions a query sees; 0 for all
   * @param q fp16 [tokens, heads * headDim], rotated; its stride a multiple of 8
   * @param tokens at least 1
   * @param position of the first token
   * @param out fp16 [tokens, heads * headDim]; its stride a multiple of 8
   */
  public void launch(
      Stream stream,
      DeviceRange region,
      int heads,
      int window,
      MatrixRows q,
      int tokens,
      int position,
      MatrixRows out) {
    if (position < 0 || tokens < 1 || tokens > cache.capacity() - position) {
      throw new IllegalArgumentException(
          tokens + " tokens at " + position + " of " + cache.capacity());
    }
    long queries = (long) heads * cache.headDim();
    long keys = region.require("cache", cache.regionBytes());
    StructPointers.set(
        args,
        attention_prefill_args.q$offset(),
        q.require("queries", tokens, queries, Short.BYTES, VECTOR));
    StructPointers.set(args, attention_prefill_args.keys$offset(), keys);
    StructPointers.set(args, attention_prefill_args.values$offset(), keys + cache.valuesOffset());
    StructPointers.set(
        args,
        attention_prefill_args.out$offset(),
        out.require("attended", tokens, queries, Short.BYTES, VECTOR));
    attention_prefill_args.capacity(args, cache.capacity());
    attention_prefill_args.q_stride(args, q.stride());
    attention_prefill_args.out_stride(args, out.stride());
    attention_prefill_args.tokens(args, tokens);
    attention_prefill_args.position(args, position);
    attention_prefill_args.heads(args, heads);
    attention_prefill_args.kv_heads(args, cache.kvHeads());
    attention_prefill_args.head_dim(args, cache.headDim());
    attention_prefill_args.window(args, window);
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(Math.ceilDiv(tokens, attention_prefill_h.ATTENTION_PREFILL_ROWS()), heads, 1),
            Dim3.of(attention_prefill_h.ATTENTION_PREFILL_THREADS()),
            sharedBytes,
            start),
        args);
  }
}
