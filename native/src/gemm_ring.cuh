// The skeleton of the products of gemm.h on sm_90a: clusters of two blocks with neighbouring rows
// and the same tokens, each of which copies half of every stage of tokens to both; a block is a
// warp that copies tokens, one that copies packed weights, and two warpgroups of 64 rows each.
#ifndef NIBBLE_GEMM_RING_CUH
#define NIBBLE_GEMM_RING_CUH

#include "cluster_copy.cuh"
#include "gemm_weights.cuh"
#include "wgmma.cuh"

namespace nibble {

constexpr int kRingStages = GEMM_SM90_TOKEN_STAGES;
constexpr int kMostWeightStages = 8;
constexpr int kClusterBlocks = 2;
constexpr int kConsumerWarps = 8;
constexpr int kWarpLanes = 32;
constexpr int kGroupThreads = 128;
constexpr int kGroupRows = 64;

// A tile of the output: which rows and tokens.
struct Tile {
  int row;
  int token;
};

// The tiles of a cluster, one after the other: tokens first, so that neighbours share weights in
// L2.
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
    return rows_descriptor(shared_address(stages + stage * kStageBytes));
  }

  // A consuming warp: it has read the stage.
  __device__ __forceinline__ void release(int read) {
    const int lane = threadIdx.x % 32;
    if (lane < kClusterBlocks) barrier_arrive(&empty[read], lane);
  }
};

// Stages of packed weights: the codes of the block's rows and 128 columns.
template <int kBits>
struct WeightRing {
  static constexpr int kRunBytes = Codes<kBits>::kRunBytes;
  static constexpr int kRuns = GEMM_ROWS / Codes<kBits>::kTileRows;
  static constexpr int kStageBytes = kRuns * kRunBytes;
  static constexpr int kStages = GEMM_SM90_WEIGHT_BYTES / kStageBytes < kMostWeightStages
                                     ? GEMM_SM90_WEIGHT_BYTES / kStageBytes
                                     : kMostWeightStages;
  static_assert(kStages >= 2, "one is copied while another is read");

  uint8_t* stages;
  uint64_t* full;
  uint64_t* empty;
  int stage = 0;
  uint32_t phase = 0;

  __device__ __forceinline__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1;
    }
  }

  // One warp of a block: all its stages of all its tiles.
  template <int kTokens>
  __device__ __forceinline__ void produce(const gemm_args& args) {
    const int lane = threadIdx.x % 32;
    const int columns = static_cast<int>(nibble_padded_columns(args.columns));
    Tiles<kTokens> tiles(args);
    Tile tile;
    while (tiles.take(tile)) {
      const RowTile rows(args, tile.row + lane % kRuns * Codes<kBits>::kTileRows);
      for (int column = 0; column < columns; column += kUnitColumns) {
        if (lane == 0) {
          barrier_wait(&empty[stage], phase ^ 1);
          barrier_expect(&full[stage], kStageBytes);
        }
        __syncwarp();
        if (lane < kRuns) {
          copy(stages + stage * kStageBytes + lane * kRunBytes,
               Codes<kBits>::run(args, rows, column), kRunBytes, &full[stage]);
        }
        advance();
      }
    }
  }

  // A consuming warp: takes its codes of the next stage.
  __device__ __forceinline__ void take(Codes<kBits>& codes, int warp, int lane) {
    barrier_wait(&full[stage], phase);
    codes.take(stages + stage * kStageBytes, warp, lane);
    // Each lane for its own reads: racecheck does not follow a warp's synchronisation to here.
    barrier_arrive(&empty[stage]);
    advance();
  }
};

// Of weights that the consuming warps load themselves.
struct NoWeightRing {
  static constexpr int kStages = 1;

  uint8_t* stages;
  uint64_t* full;
  uint64_t* empty;

  template <int kTokens>
  __device__ __forceinline__ void produce(const gemm_args&) {}
};

// Runs consume(tokens, weights) in the two consuming warpgroups.
template <int kTokens, class Weights, class Consume>
__device__ __forceinline__ void run_ring(const gemm_args& args, int k_tiles,
                                         const Consume& consume) {
  extern __shared__ uint8_t shared[];
  __shared__ alignas(8) uint64_t full[kRingStages];
  __shared__ alignas(8) uint64_t empty[kRingStages];
  __shared__ alignas(8) uint64_t weights_full[kMostWeightStages];
  __shared__ alignas(8) uint64_t weights_empty[kMostWeightStages];
  Ring<kTokens> ring;
  ring.stages = shared + (-shared_address(shared) & (GEMM_SHARED_ALIGNMENT - 1));
  ring.full = full;
  ring.empty = empty;
  Weights weights;
  weights.stages = ring.stages + kRingStages * Ring<kTokens>::kStageBytes;
  weights.full = weights_full;
  weights.empty = weights_empty;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kRingStages; ++i) {
      barrier_init(&full[i], 1);
      barrier_init(&empty[i], kConsumerWarps * kClusterBlocks);
    }
    for (int i = 0; i < Weights::kStages; ++i) {
      barrier_init(&weights_full[i], 1);
      barrier_init(&weights_empty[i], kConsumerWarps * kWarpLanes);
    }
    barrier_init_visible();
  }
  cluster_sync();
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
  if (threadIdx.x < kGroupThreads) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 56;");
    if (threadIdx.x == 0) ring.produce(args, k_tiles);
    if (threadIdx.x / 32 == 1) weights.template produce<kTokens>(args);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 224;");
    consume(ring, weights);
  }
  // A block stays while the other may copy to it or arrive at its barriers.
  cluster_sync();
}

}  // namespace nibble

#endif  // NIBBLE_GEMM_RING_CUH
