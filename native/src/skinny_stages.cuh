// A thread block of skinny_wgmma.cuh: its share of the work, its shared memory, and the warps that fill
// it.
#ifndef NIBBLE_SKINNY_STAGES_CUH
#define NIBBLE_SKINNY_STAGES_CUH

#include "cluster_copy.cuh"
#include "gemm_weights.cuh"
#include "skinny_rows.cuh"
#include "warpgroup_sync.cuh"

namespace nibble {

constexpr int kChainCount = SKINNY_CHAINS;
constexpr int kGroupWarps = 4;
constexpr int kWeightWarps = 2;  // that copy them
constexpr int kBlockGroups = NIBBLE_COLUMN_BLOCK / kUnitColumns;

template <int kBits, SkinnyInput kInput, int kN>
class SkinnyStages {
 public:
  static constexpr bool kParts = kInput == SkinnyInput::kParts;
  static constexpr int kConsumers = SKINNY_WGMMA_CONSUMERS(kN, kParts);  // warpgroups
  static constexpr int kTokenParts = SKINNY_WGMMA_PARTS(kN, kParts);     // that share 64 rows' tokens
  static constexpr int kRings = kConsumers / kTokenParts;                // at most
  static constexpr int kRunBytes = (kParts ? kN / 2 * 8 : kN * 4);
  static constexpr int kXBytes = kN * GEMM_TILE_ROW_BYTES;
  static constexpr int kCodeBytes = NIBBLE_ROW_BLOCK / 8 * NIBBLE_COLUMN_BLOCK * kBits;
  static constexpr int kScaleBytes = 2 * NIBBLE_ROW_BLOCK * kBlockGroups;
  static constexpr int kZeroBytes = NIBBLE_ROW_BLOCK * kBlockGroups;
  static constexpr int kWeightBytes = kCodeBytes + kScaleBytes + kZeroBytes;

  struct Shared {
    Barriers<SKINNY_X_STAGES> x;
    Barriers<SKINNY_WEIGHT_STAGES> weights[kRings];
  };
  static_assert(sizeof(Shared) <= SKINNY_STATIC_BYTES, "the launcher leaves no more");

  __device__ __forceinline__ SkinnyStages(const skinny_args& args, uint8_t* dynamic,
                                          Shared& shared)
      : args_(args),
        shared_(shared),
        x_full_(shared_address(shared.x.full)),
        x_empty_(shared_address(shared.x.empty)),
        x_(dynamic + (-shared_address(dynamic) & (SKINNY_ALIGNMENT - 1))),
        runs_(x_ + args.x_stages * kXBytes),
        weights_(runs_ + args.x_stages * kRunBytes),
        chain_(blockIdx.x % kChainCount),
        columns_(static_cast<int>(nibble_padded_columns(args.columns))),
        blocks_((columns_ + NIBBLE_COLUMN_BLOCK - 1) / NIBBLE_COLUMN_BLOCK),
        pair_(args.epilogue == GEMV_SWIGLU_F16) {
    int rows = 0;
    for (int s = 0; s < args.segment_count; ++s) {
      rows += static_cast<int>(nibble_padded_rows(args.segments[s].rows));
    }
    row_blocks_ = rows / NIBBLE_ROW_BLOCK;
    runs_count_ = 0;
    for (int b = chain_; b < blocks_; b += kChainCount) runs_count_ += runs_of(b);
    resident_ = runs_count_ <= args.x_stages;
  }

  const skinny_args& args_;
  Shared& shared_;
  // Known once: the compiler finds a barrier's address anew at each use.
  const uint32_t x_full_, x_empty_;
  uint8_t* const x_;
  uint8_t* const runs_;
  uint8_t* const weights_;
  const int chain_, columns_, blocks_;
  const bool pair_;
  int row_blocks_, runs_count_;
  bool resident_;

  // All threads.
  __device__ __forceinline__ void init() {
    const int i = threadIdx.x;
    if (i < args_.x_stages) {
      // Sums of codes come by the copying warp's lanes.
      barrier_init(&shared_.x.full[i], kParts ? 1 : 33);
      barrier_init(&shared_.x.empty[i], kGroupWarps * kTokenParts * args_.rings);
    }
    if (i < args_.rings * args_.weight_stages) {
      Barriers<SKINNY_WEIGHT_STAGES>& ring = shared_.weights[i / args_.weight_stages];
      barrier_init(&ring.full[i % args_.weight_stages], 1);
      barrier_init(&ring.empty[i % args_.weight_stages], kGroupWarps * kTokenParts);
    }
    barrier_init_visible();
  }

  __device__ __forceinline__ int runs_of(int block) const {
    return min(kBlockGroups, columns_ / kUnitColumns - block * kBlockGroups);
  }

  // The 64 rows of the block's item number `item`; with SwiGLU even ones are gate's, and up's follow.
  // Ring r has the items r, r + rings and on.
  __device__ __forceinline__ int row_block(int item) const {
    const int groups = gridDim.x / kChainCount, group = blockIdx.x / kChainCount;
    return pair_ ? item / 2 * groups + group + item % 2 * (row_blocks_ / 2) : item * groups + group;
  }

  __device__ __forceinline__ bool exists(int item) const {
    return pair_ ? row_block(item & ~1) < row_blocks_ / 2 : row_block(item) < row_blocks_;
  }

  // Where tokens do not stay, all rings go on together, to the last rows again if there are no more.
  __device__ __forceinline__ bool takes(int item) const {
    return exists(resident_ ? item : item / args_.rings * args_.rings);
  }

  __device__ __forceinline__ int taken_block(int item) const {
    return min(row_block(item), row_blocks_ - 1);
  }

  // One warp. Tokens that stay are copied once, a run by each lane.
  __device__ __forceinline__ void copy_tokens(int lane) {
    RingPlace place;
    wait_for_previous_kernel();
    if (kParts && resident_) {
      for (int i = lane; i < runs_count_; i += 32) {
        copy_parts(chain_ * kBlockGroups + i + i / kBlockGroups * (kChainCount - 1) * kBlockGroups,
                   i);
      }
      return;
    }
    for (int item = 0; exists(item); item += args_.rings) {
      for (int block = chain_; block < blocks_; block += kChainCount) {
        const int runs = runs_of(block);
        for (int r = 0; r < runs; ++r) {
          const int run = block * kBlockGroups + r;
          if (!resident_) barrier_wait(&shared_.x.empty[place.stage], place.phase ^ 1);
          if (lane == 0) copy_parts(run, place.stage);
          if constexpr (!kParts) copy_sums(run, place.stage, lane);
          __syncwarp();
          place.advance(args_.x_stages);
        }
      }
      if (resident_) break;
    }
    if (!kParts) asm volatile("cp.async.wait_all;" ::: "memory");
  }

  // One thread: a run's columns of the tokens, and for parts their scales and sums.
  __device__ __forceinline__ void copy_parts(int run, int stage) const {
    const int rows = kParts ? 2 * args_.tokens : args_.tokens;
    const int run_bytes = kParts ? args_.run_stride * 8 : 0;
    uint64_t* const full = &shared_.x.full[stage];
    barrier_expect(full, rows * GEMM_TILE_ROW_BYTES + run_bytes);
    copy(x_ + stage * kXBytes,
         args_.x + run * (nibble_tiled_tokens(rows) * GEMM_TILE_ROW_BYTES),
         rows * GEMM_TILE_ROW_BYTES, full);
    if (kParts) {
      copy(runs_ + stage * kRunBytes,
           static_cast<const uint8_t*>(args_.runs) + static_cast<int64_t>(run) * run_bytes,
           run_bytes, full);
    }
  }

  // All lanes: the sums of codes.
  __device__ __forceinline__ void copy_sums(int run, int stage, int lane) const {
    const int groups = (args_.columns + kUnitColumns - 1) / kUnitColumns;
    for (int token = lane; token < args_.tokens && args_.group_size != 0 && run < groups;
         token += 32) {
      asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                       shared_address(runs_ + stage * kRunBytes) + 4 * token),
                   "l"(args_.sums + static_cast<int64_t>(token) * groups + run)
                   : "memory");
    }
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(
                     shared_address(&shared_.x.full[stage]))
                 : "memory");
  }

  // One thread of each weight warp, which take the rings in turn.
  __device__ __forceinline__ void copy_weights(int warp) {
    const uint64_t policy = read_once_policy();
    RingPlace place;
    for (int first = 0; takes(first + warp); first += args_.rings) {
      for (int block = chain_; block < blocks_; block += kChainCount) {
        for (int ring = warp; ring < args_.rings && takes(first + ring); ring += kWeightWarps) {
          copy_weights(taken_block(first + ring), ring, block, place.stage, place.phase, policy);
        }
        place.advance(args_.weight_stages);
      }
    }
  }

  // A column block of 64 rows, to a ring.
  __device__ __forceinline__ void copy_weights(int64_t rows, int ring, int block, int stage,
                                               uint32_t phase, uint64_t policy) {
    const int runs = runs_of(block);
    uint64_t* const full = &shared_.weights[ring].full[stage];
    uint8_t* const to = weights_ + (ring * args_.weight_stages + stage) * kWeightBytes;
    barrier_wait(&shared_.weights[ring].empty[stage], phase ^ 1);
    const int code_bytes = NIBBLE_ROW_BLOCK / 8 * kBits * (runs * kUnitColumns);
    const int scales = args_.group_size == 0 ? 0 : NIBBLE_ROW_BLOCK * runs;
    const bool zeros = args_.zeros != nullptr;
    barrier_expect(full, code_bytes + scales * (zeros ? 3 : 2));
    copy(to, args_.qweight + rows * nibble_row_block_bytes(kBits, columns_) + block * kCodeBytes,
         code_bytes, full, policy);
    if (scales == 0) return;
    const int64_t at = rows * nibble_row_block_scales(columns_, kUnitColumns) +
                       block * (NIBBLE_ROW_BLOCK * kBlockGroups);
    copy(to + kCodeBytes, static_cast<const uint8_t*>(args_.scales) + 2 * at, 2 * scales, full,
         policy);
    if (zeros) copy(to + kCodeBytes + kScaleBytes, args_.zeros + at, scales, full, policy);
  }
};

}  // namespace nibble

#endif  // NIBBLE_SKINNY_STAGES_CUH
