package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.attention_decode_args;
import dev.nibble.bindings.kernels.attention_decode_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches attention_decode: one new token of each of some sequences. */
public final class DecodeAttention {
  /**
   * Percent of a multiprocessor's memory that the kernels of a decode step take as shared memory:
   * all, so that the next one's blocks move in while the last ones of a kernel run.
   */
  static final int SHARED_MEMORY = 100;

  /** Rows up to which that pays. */
  private static final int FEW_ROWS = 4;

  /**
   * Most blocks of two multiprocessors that are launched as clusters: the 320 blocks of a
   * llama-2-13b step on an H200's 132 pay (1.94 ms a step of 32 layers, 2.01 without).
   */
  private static final int CLUSTERED_PER_TWO = 5;

  private final KvLayout cache;
  private final int multiprocessors;
  private final Kernel kernel;

  private final int sharedBytesPerBlock;

  /** Whether blocks of a row and head may be clusters. */
  private final boolean clusters;

  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel for a cache.
   *
   * @param kernels of the device
   * @param cache its layout
   */
  public DecodeAttention(KernelCatalog kernels, KvLayout cache) {
    this.cache = cache;
    multiprocessors = kernels.device().properties().multiprocessors();
    sharedBytesPerBlock = kernels.device().properties().sharedBytesPerBlock();
    int headDim = cache.headDim();
    boolean special = cache.bits() == 3 ? headDim == 128 : headDim == 64 || headDim == 128;
    kernel =
        kernels.kernel(
            "attention_decode",
            special
                ? "attention_decode_kv" + cache.bits() + "_" + headDim
                : "attention_decode_any");
    clusters = special && kernels.isHopper();
    kernel.allowSharedBytes(
        sharedBytesPerBlock - attention_decode_h.ATTENTION_DECODE_STATIC_BYTES());
    args = kernel.newArguments(attention_decode_args.sizeof());
    start = kernels.earliestStart();
  }

  /**
   * Room that blocks of different splits meet in.
   *
   * @param partials float
   * @param arrivals uint32, zeros at first
   */
  public record Scratch(DeviceRange partials, DeviceRange arrivals) {}

  /**
   * Size of {@link Scratch#partials}.
   *
   * @param cache its layout
   * @param heads query heads
   * @param rows most rows
   * @return bytes
   */
  public static long partialBytes(KvLayout cache, int heads, int rows) {
    return Math.multiplyExact(
        (long) rows * blocks(cache, heads),
        attention_decode_h.ATTENTION_DECODE_SPLITS()
            * attention_decode_h.ATTENTION_DECODE_QUERIES()
            * attention_decode_h.ATTENTION_DECODE_PARTIAL()
            * Float.BYTES);
  }

  /**
   * Size of {@link Scratch#arrivals}.
   *
   * @param cache its layout
   * @param heads query heads
   * @param rows most rows
   * @return bytes
   */
  public static long arrivalBytes(KvLayout cache, int heads, int rows) {
    return (long) Integer.BYTES * rows * blocks(cache, heads);
  }

  private static int blocks(KvLayout cache, int heads) {
    return cache.kvHeads()
        * Math.ceilDiv(heads / cache.kvHeads(), attention_decode_h.ATTENTION_DECODE_QUERIES());
  }

  /**
   * Enqueues the attention of a layer. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param heads what is done to queries and keys
   * @param layerOffset bytes from the start of a sequence's block to the layer's region
   * @param window positions a query sees; 0 for all
   * @param q fp16 [rows, heads * headDim]
   * @param k fp16 [rows, kvHeads * headDim], with the stride of q
   * @param v as k
   * @param rows at least 1
   * @param positions int32 [rows] of the new tokens; negative for an idle row
   * @param caches addresses of the sequences' blocks
   * @param scratch room for the splits
   * @param out fp16 [rows, heads * headDim]
   */
  public void launch(
      Stream stream,
      AttentionHeads heads,
      long layerOffset,
      int window,
      MatrixRows q,
      MatrixRows k,
      MatrixRows v,
      int rows,
      DeviceRange positions,
      DeviceRange caches,
      Scratch scratch,
      MatrixRows out) {
    heads.check(cache);
    int headDim = cache.headDim();
    int kvHeads = cache.kvHeads();
    if (k.stride() != q.stride() || v.stride() != q.stride()) {
      throw new IllegalArgumentException("queries, keys and values differ in stride");
    }
    long queries = (long) heads.heads() * headDim;
    long keys = (long) kvHeads * headDim;
    StructPointers.set(
        args,
        attention_decode_args.q$offset(),
        q.require("queries", rows, queries, Short.BYTES, 2));
    StructPointers.set(
        args, attention_decode_args.k$offset(), k.require("keys", rows, keys, Short.BYTES, 2));
    StructPointers.set(
        args, attention_decode_args.v$offset(), v.require("values", rows, keys, Short.BYTES, 2));
    StructPointers.set(
        args,
        attention_decode_args.out$offset(),
        out.require("attended", rows, queries, Short.BYTES, 2));
    StructPointers.set(
        args,
        attention_decode_args.positions$offset(),
        positions.require("positions", (long) Integer.BYTES * rows));
    StructPointers.set(
        args,
        attention_decode_args.caches$offset(),
        caches.require("caches", (long) Long.BYTES * rows));
    StructPointers.set(
        args, attention_decode_args.cosines$offset(), AttentionHeads.address(heads.cosines()));
    StructPointers.set(
        args, attention_decode_args.sines$offset(), AttentionHeads.address(heads.sines()));
    StructPointers.set(
        args, attention_decode_args.order$offset(), AttentionHeads.address(heads.order()));
    StructPointers.set(
        args, attention_decode_args.q_norm$offset(), AttentionHeads.address(heads.queryNorm()));
    StructPointers.set(
        args, attention_decode_args.k_norm$offset(), AttentionHeads.address(heads.keyNorm()));
    StructPointers.set(
        args,
        attention_decode_args.partials$offset(),
        scratch.partials().require("partials", partialBytes(cache, heads.heads(), rows)));
    StructPointers.set(
        args,
        attention_decode_args.arrivals$offset(),
        scratch.arrivals().require("arrivals", arrivalBytes(cache, heads.heads(), rows)));
    attention_decode_args.layer_offset(args, layerOffset);
    attention_decode_args.capacity(args, cache.capacity());
    attention_decode_args.qkv_stride(args, q.stride());
    attention_decode_args.out_stride(args, out.stride());
    attention_decode_args.heads(args, heads.heads());
    attention_decode_args.kv_heads(args, kvHeads);
    attention_decode_args.head_dim(args, headDim);
    attention_decode_args.kv_bits(args, cache.bits());
    attention_decode_args.query_bits(args, heads.queryBits());
    attention_decode_args.window(args, window);
    attention_decode_args.epsilon(args, heads.epsilon());
    int blocks = blocks(cache, heads.heads());
    int splits = splits(blocks * rows);
    // Shorter blocks gain more from those of the next launch beside them.
    int residents =
        rows <= FEW_ROWS || splits > 1 ? blocksAtOnce() : evenResidents((long) blocks * rows);
    int sharedBytes = sharedBytes(heads.heads() / kvHeads, residents);
    boolean clustered =
        clusters && 2L * blocks * rows * splits <= (long) CLUSTERED_PER_TWO * multiprocessors;
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(blocks, splits, rows),
            Dim3.of(attention_decode_h.ATTENTION_DECODE_THREADS()),
            sharedBytes,
            start,
            new Dim3(1, clustered ? splits : 1, 1),
            rows <= FEW_ROWS ? SHARED_MEMORY : sharedPercent(sharedBytes, residents)),
        args);
  }

  /** What a block needs, for so many query heads of a KV head. */
  static int sharedBytes(int queriesOfKey) {
    int queries = Math.min(queriesOfKey, attention_decode_h.ATTENTION_DECODE_QUERIES());
    return (4 * queries + 8 * Math.ceilDiv(queries, 2))
        * attention_decode_h.ATTENTION_DECODE_PARTIAL()
        * Float.BYTES;
  }

  /**
   * Shared bytes of a block, so many that no more than the residents fit a multiprocessor.
   *
   * @param queriesOfKey query heads of a KV head
   * @param residents at most {@link #blocksAtOnce}
   */
  private int sharedBytes(int queriesOfKey, int residents) {
    int needed = sharedBytes(queriesOfKey);
    return residents == blocksAtOnce()
        ? needed
        : Math.max(needed, sharedBytesPerBlock / (residents + 1));
  }

  /**
   * Blocks that share a multiprocessor such that all of them have about as much to do: the
   * scheduler gives some multiprocessors 3 of 256 blocks and others 1, if 3 fit (8 rows of 4,096
   * positions at 16 bits 154 us on an H200, 124 with 2). Many blocks even out by themselves.
   */
  private int evenResidents(long blocks) {
    int best = blocksAtOnce();
    if (blocks >= 2L * best * multiprocessors) {
      return best;
    }
    for (int residents = best - 1; residents > 1; residents--) {
      if (turns(blocks, residents) < turns(blocks, best)) {
        best = residents;
      }
    }
    return best;
  }

  /** Blocks that the busiest multiprocessor gets, if all take so many at once. */
  private long turns(long blocks, int residents) {
    return residents * Math.ceilDiv(blocks, (long) residents * multiprocessors);
  }

  /**
   * Percent of a multiprocessor's memory that its blocks need as shared memory. What is loaded from
   * a cache goes through the first-level cache, which has the rest, and many rows need its room:
   * with what the kernel before had left of it, 64 rows of 512 positions of 8 bits took 101 us in a
   * decode step.
   */
  private int sharedPercent(int sharedBytes, int residents) {
    int bytes = residents * (sharedBytes + attention_decode_h.ATTENTION_DECODE_STATIC_BYTES());
    return Math.min(100, Math.ceilDiv(100 * bytes, sharedBytesPerBlock));
  }

  /** Blocks that a multiprocessor runs at once. */
  private int blocksAtOnce() {
    return cache.bits() == 16 ? 3 : 4;
  }

  /** The most that leaves a multiprocessor no more blocks than it runs at once. */
  private int splits(int blocks) {
    int most = blocksAtOnce() * multiprocessors;
    int splits = attention_decode_h.ATTENTION_DECODE_SPLITS();
    while (splits > 1 && splits * blocks > most) {
      splits /= 2;
    }
    return splits;
  }
}
