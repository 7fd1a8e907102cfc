// The skeleton of the products of gemm.h on sm_90a: clusters of two blocks with neighbouring rows and
// the same tokens, each of which copies half of every stage of tokens to both; a block is one
// producing thread and two warpgroups of 64 rows each.
#ifndef NIBBLE_GEMM_RING_CUH
#define NIBBLE_GEMM_RING_CUH

#include "gemm.h"
#include "gemm_wgmma.cuh"

namespace nibble {

constexpr int kRingStages = GEMM_SM90_STAGES;
constexpr int kClusterBlocks = 2;
constexpr int kConsumerWarps = 8;
constexpr int kGroupThreads = 128;
constexpr int kGroupRows = 64;

// A tile of the output: which rows and tokens.
struct Tile {
  int row;
  int token;
};

// The tiles of a cluster, one after the other: tokens first, so that neighbours share weights in L2.
template <int kTokens>
struct Tiles {
  int token_tiles, count, next, step;

  __device__ __forceinline__ explicit Tiles(const gemm_args& args)
      : token_tiles((args.tokens + kTokens - 1) / kTokens),
        count(token_tiles *
              ((args.rows + kClusterBlocks * GEMM_ROWS - 1) / (kClusterBlocks * GEMM_ROWS))),
        next(blockIdx.x / kClusterBlocks),
        step(gridDim.x / kClusterBlocks) {}

  __device__ __forceinline__ bool take(Tile& tile) {
    if (next >= count) return false;
    tile.row = (next / token_tiles * kClusterBlocks + static_cast<int>(cluster_rank())) * GEMM_ROWS;
    tile.token = next % token_tiles * kTokens;
    next += step;
    return true;
  }
};

template <int kTokens>
struct Ring {
  static constexpr int kStageBytes = kTokens * GEMM_TILE_ROW_BYTES;

  uint8_t* stages;
  uint64_t* full;
  uint64_t* empty;
  int stage = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance() {
    if (++stage == kRingStages) {
      stage = 0;
      phase ^= 1;
    }
  }

  // One thread of a block: all its stages of all its tiles.
  __device__ __forceinline__ void produce(const gemm_args& args, int k_tiles) {
    const int64_t tokens = nibble_tiled_tokens(args.tokens);
    const int half = static_cast<int>(cluster_rank()) * (kTokens / 2);
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const int here = min(kTokens, static_cast<int>(tokens) - tile.token);
      const int mine = min(max(here - half, 0), kTokens / 2);
      const auto* from = static_cast<const uint8_t*>(args.x) +
                         static_cast<int64_t>(tile.token + half) * GEMM_TILE_ROW_BYTES;
      for (int k = 0; k < k_tiles; ++k) {
        barrier_wait(&empty[stage], phase ^ 1);
        barrier_expect(&full[stage], here * GEMM_TILE_ROW_BYTES);
        if (mine > 0) {
          copy_to_both(stages + stage * kStageBytes + half * GEMM_TILE_ROW_BYTES, from,
                       mine * GEMM_TILE_ROW_BYTES, &full[stage]);
        }
        from += tokens * GEMM_TILE_ROW_BYTES;
        advance();
      }
    }
  }

  // A consuming warp: waits for the stage, and returns its descriptor.
  __device__ __forceinline__ uint64_t wait() {
    barrier_wait(&full[stage], phase);
    return tokens_descriptor(shared_address(stages + stage * kStageBytes));
  }

  // A consuming warp: it has read the stage.
  __device__ __forceinline__ void release(int read) {
    const int lane = threadIdx.x % 32;
    if (lane < kClusterBlocks) barrier_arrive(&empty[read], lane);
  }
};

// Runs consume(args, ring) in the two consuming warpgroups.
template <int kTokens, class Consume>
__device__ __forceinline__ void run_ring(const gemm_args& args, int k_tiles,
                                         const Consume& consume) {
  extern __shared__ uint8_t shared[];
  __shared__ alignas(8) uint64_t full[kRingStages];
  __shared__ alignas(8) uint64_t empty[kRingStages];
  Ring<kTokens> ring;
  ring.stages = shared + (-shared_address(shared) & (GEMM_SHARED_ALIGNMENT - 1));
  ring.full = full;
  ring.empty = empty;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kRingStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kConsumerWarps * kClusterBlocks);
    }
    barrier_init_visible();
  }
  cluster_sync();
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
  if (threadIdx.x < kGroupThreads) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 0) ring.produce(args, k_tiles);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    consume(ring);
  }
  // A block stays while the other may copy to it or arrive at its barriers.
  cluster_sync();
}

}  // namespace nibble

#endif  // NIBBLE_GEMM_RING_CUH
