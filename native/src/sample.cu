// See sample.h. Blocks search the largest logit in a part of the vocabulary each; the last of a row to
// finish chooses. Without top-k and top-p it draws in the order of ids. With them it needs the
// largest in order: a histogram of the scores tells which ids can be among them, and only those are
// sorted. All sums have a fixed order.
#include "sample.h"

#include <cuda_runtime.h>

#include "dependent_launch.cuh"

namespace {

constexpr int kWarps = SAMPLE_THREADS / 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kBins = 4096;
// Bins of a unit of score: the last bin holds what is e^-32 as likely as the largest, and less.
constexpr float kBinsPerUnit = 128.0f;
constexpr int kSortedInShared = 4096;
constexpr int kNone = INT32_MAX;

struct Partial {
  float largest;
  int32_t id;
  int32_t finite;
  int32_t reserved;
};

struct Shared {
  union {
    uint32_t bins[kBins];
    unsigned long long sorted[kSortedInShared];
  };
  double warp_sums[kWarps];
  float warp_largest[kWarps];
  int warp_ids[kWarps];
  int index;
  int count;
  uint32_t arrived;
};

// A row's logits as weights: e^((logit - largest) / temperature).
struct Weights {
  const float* logits;
  float largest;
  float temperature;
  int vocab;

  __device__ __forceinline__ float score(int id) const {
    return (logits[id] - largest) / temperature;
  }
  __device__ __forceinline__ double of(int id) const { return expf(score(id)); }
  __device__ __forceinline__ int bin(int id) const {
    return static_cast<int>(fminf(-score(id) * kBinsPerUnit, static_cast<float>(kBins - 1)));
  }
};

// Sum of the values of the threads before this one; the sum of all goes to `total`.
__device__ double sum_before(double value, Shared& shared, double& total) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  double sum = value;
  for (int offset = 1; offset < 32; offset <<= 1) {
    const double before = __shfl_up_sync(kAllLanes, sum, offset);
    if (lane >= offset) sum += before;
  }
  if (lane == 31) shared.warp_sums[warp] = sum;
  __syncthreads();
  double warps_before = 0;
  total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) warps_before = total;
    total += shared.warp_sums[w];
  }
  __syncthreads();
  return warps_before + (sum - value);
}

// Smallest of the threads' values.
__device__ int smallest(int value, Shared& shared) {
  if (threadIdx.x == 0) shared.index = kNone;
  __syncthreads();
  if (value != kNone) atomicMin(&shared.index, value);
  __syncthreads();
  const int result = shared.index;
  __syncthreads();
  return result;
}

// java.util.SplittableRandom's next double in [0, 1).
__device__ double next_random(uint64_t& state) {
  state += 0x9e3779b97f4a7c15ull;
  uint64_t z = state;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

// The place among `count` weights, in their order, that a point of their sum falls on, and -1 past all.
template <class Weight>
__device__ int place_of(double point, int count, Weight weight, double before, Shared& shared) {
  const int each = (count + SAMPLE_THREADS - 1) / SAMPLE_THREADS;
  const int first = min(threadIdx.x * each, count), end = min(first + each, count);
  int found = kNone;
  double sum = before;
  for (int i = first; i < end && found == kNone; ++i) {
    const double w = weight(i);
    sum += w;
    if (w > 0 && sum > point) found = i;
  }
  const int place = smallest(found, shared);
  return place == kNone ? -1 : place;
}

__device__ int draw_any(const Weights& weights, float min_p, int best, double random,
                        Shared& shared) {
  const double least = min_p;
  const auto kept = [&](int id) {
    const double w = weights.of(id);
    return w >= least ? w : 0.0;
  };
  const int each = (weights.vocab + SAMPLE_THREADS - 1) / SAMPLE_THREADS;
  const int first = min(threadIdx.x * each, weights.vocab);
  const int end = min(first + each, weights.vocab);
  double sum = 0;
  for (int id = first; id < end; ++id) sum += kept(id);
  double total;
  const double before = sum_before(sum, shared, total);
  const int id = place_of(random * total, weights.vocab, kept, before, shared);
  return id < 0 ? best : id;
}

// Whether top-k leaves out tokens.
__device__ __forceinline__ bool keeps_count(const sample_parameters& parameters, int vocab) {
  return parameters.top_k > 0 && parameters.top_k < vocab;
}

// The last bin that the most likely tokens can be in, as many as top-k or top-p may keep.
__device__ int last_bin(const Weights& weights, const sample_parameters& parameters, double& mass,
                        Shared& shared) {
  for (int i = threadIdx.x; i < kBins; i += SAMPLE_THREADS) shared.bins[i] = 0;
  __syncthreads();
  double sum = 0;
  for (int id = threadIdx.x; id < weights.vocab; id += SAMPLE_THREADS) {
    sum += weights.of(id);
    atomicAdd(&shared.bins[weights.bin(id)], 1u);
  }
  sum_before(sum, shared, mass);

  const bool by_count = keeps_count(parameters, weights.vocab);
  const double enough = by_count ? parameters.top_k : parameters.top_p * mass;
  constexpr int kEach = kBins / SAMPLE_THREADS;
  double sums[kEach];
  double here = 0;
  for (int i = 0; i < kEach; ++i) {
    const int bin = threadIdx.x * kEach + i;
    // At least this likely is a token of the bin.
    const double least = by_count ? 1.0 : exp(-static_cast<double>(bin + 1) / kBinsPerUnit);
    here += shared.bins[bin] * least;
    sums[i] = here;
  }
  double total;
  const double before = sum_before(here, shared, total);
  int found = kNone;
  for (int i = kEach - 1; i >= 0; --i) {
    if (before + sums[i] >= enough) found = threadIdx.x * kEach + i;
  }
  int last = min(smallest(found, shared), kBins - 1);
  if (!by_count && parameters.min_p > 0) {
    const float bin = -logf(parameters.min_p) * kBinsPerUnit + 1.0f;
    last = min(last, static_cast<int>(fminf(bin, static_cast<float>(kBins - 1))));
  }
  return last;
}

// Sorts `count` keys, a power of 2, upwards.
__device__ void sort(unsigned long long* keys, int count) {
  for (int run = 2; run <= count; run <<= 1) {
    for (int apart = run / 2; apart > 0; apart >>= 1) {
      for (int i = threadIdx.x; i < count / 2; i += SAMPLE_THREADS) {
        const int low = i / apart * 2 * apart + i % apart, high = low + apart;
        const unsigned long long a = keys[low], b = keys[high];
        if ((a > b) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      __syncthreads();
    }
  }
}

__device__ int draw_most_likely(const Weights& weights, const sample_parameters& parameters,
                                unsigned long long* candidates, int best, double random,
                                Shared& shared) {
  double mass;
  const int last = last_bin(weights, parameters, mass, shared);
  __syncthreads();
  if (threadIdx.x == 0) shared.count = 0;
  __syncthreads();
  for (int id = threadIdx.x; id < weights.vocab; id += SAMPLE_THREADS) {
    if (weights.bin(id) > last) continue;
    // Larger logits first, then smaller ids.
    const uint32_t bits = __float_as_uint(weights.logits[id] + 0.0f);
    const uint32_t upwards = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    candidates[atomicAdd(&shared.count, 1)] =
        static_cast<unsigned long long>(~upwards) << 32 | static_cast<uint32_t>(id);
  }
  __syncthreads();
  const int count = shared.count;
  int padded = 1;
  while (padded < count) padded <<= 1;
  unsigned long long* keys = candidates;
  if (padded <= kSortedInShared) {
    keys = shared.sorted;
    for (int i = threadIdx.x; i < count; i += SAMPLE_THREADS) keys[i] = candidates[i];
  }
  for (int i = count + threadIdx.x; i < padded; i += SAMPLE_THREADS) keys[i] = ~0ull;
  __syncthreads();
  sort(keys, padded);

  const bool by_count = keeps_count(parameters, weights.vocab);
  const int most = by_count ? min(parameters.top_k, count) : count;
  const auto weight = [&](int i) { return weights.of(static_cast<int>(keys[i] & 0xffffffffu)); };
  const int each = (most + SAMPLE_THREADS - 1) / SAMPLE_THREADS;
  const int first = min(threadIdx.x * each, most), end = min(first + each, most);
  double sum = 0;
  for (int i = first; i < end; ++i) sum += weight(i);
  double total;
  const double before = sum_before(sum, shared, total);
  const double enough = parameters.top_p * (by_count ? total : mass);
  int stop = kNone;
  sum = before;
  for (int i = first; i < end && stop == kNone; ++i) {
    const double w = weight(i);
    if (i > 0 && (sum >= enough || w < parameters.min_p)) {
      stop = i;
    } else {
      sum += w;
    }
  }
  const int taken = min(smallest(stop, shared), most);
  // The weights in front of `taken`: of whole chunks, and of the chunk that it is in.
  double kept_here = 0;
  for (int i = first; i < min(end, taken); ++i) kept_here += weight(i);
  double kept;
  const double kept_before = sum_before(kept_here, shared, kept);
  const auto kept_weight = [&](int i) { return i < taken ? weight(i) : 0.0; };
  const int place = place_of(random * kept, most, kept_weight, kept_before, shared);
  return place < 0 ? best : static_cast<int>(keys[place] & 0xffffffffu);
}

// The better of two: the larger logit, the smaller id among equals.
__device__ __forceinline__ void take_better(float& largest, int& id, float other, int other_id) {
  if (other > largest || (other == largest && other_id < id)) {
    largest = other;
    id = other_id;
  }
}

// Largest logit of ids first to end - 1 and its id, known to all threads of the first warp.
__device__ void find_largest(const float* logits, int first, int end, float& largest, int& id,
                             Shared& shared) {
  largest = -INFINITY;
  id = kNone;
  for (int i = first + threadIdx.x; i < end; i += SAMPLE_THREADS) {
    take_better(largest, id, logits[i], i);
  }
  for (int step = 0; step < 2; ++step) {
    for (int offset = 16; offset > 0; offset >>= 1) {
      const float other = __shfl_xor_sync(kAllLanes, largest, offset);
      const int other_id = __shfl_xor_sync(kAllLanes, id, offset);
      take_better(largest, id, other, other_id);
    }
    if (step == 1) break;
    if (threadIdx.x % 32 == 0) {
      shared.warp_largest[threadIdx.x / 32] = largest;
      shared.warp_ids[threadIdx.x / 32] = id;
    }
    __syncthreads();
    largest = shared.warp_largest[threadIdx.x % 32];
    id = shared.warp_ids[threadIdx.x % 32];
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(SAMPLE_THREADS)
    sample(const __grid_constant__ sample_args args) {
  __shared__ Shared shared;
  const int64_t row = blockIdx.y;
  wait_for_previous_kernel();
  allow_next_kernel();
  const int position = args.positions[row];
  if (position < 0) return;
  const float* logits = args.logits + row * args.logits_stride;
  sample_parameters parameters = args.parameters[row];

  const int slice = (args.vocab + SAMPLE_PARTS - 1) / SAMPLE_PARTS;
  const int first = min(static_cast<int>(blockIdx.x) * slice, args.vocab);
  const int end = min(first + slice, args.vocab);
  bool finite = true;
  for (int i = first + threadIdx.x; i < end; i += SAMPLE_THREADS) {
    finite &= fabsf(logits[i]) <= 3.40282347e38f;
  }
  finite = __syncthreads_and(finite);
  float largest;
  int best;
  find_largest(logits, first, end, largest, best, shared);

  Partial* partials = static_cast<Partial*>(args.partials) + row * SAMPLE_PARTS;
  if (threadIdx.x == 0) partials[blockIdx.x] = {largest, best, finite, 0};
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) shared.arrived = atomicInc(args.arrivals + row, SAMPLE_PARTS - 1);
  __syncthreads();
  if (shared.arrived != SAMPLE_PARTS - 1) return;
  __threadfence();
  largest = -INFINITY;
  best = kNone;
  for (int i = 0; i < SAMPLE_PARTS; ++i) {
    const int4 partial = __ldcg(reinterpret_cast<const int4*>(partials + i));
    take_better(largest, best, __int_as_float(partial.x), partial.y);
    finite &= partial.z != 0;
  }
  int32_t* result = args.results + row * SAMPLE_RESULTS + position % SAMPLE_RESULTS;
  if (!finite) {
    if (threadIdx.x == 0) {
      args.positions[row] = -1;
      *result = SAMPLE_NOT_FINITE;
    }
    return;
  }

  int token = best;
  if (parameters.temperature > 0.0f) {
    const Weights weights = {logits, largest, parameters.temperature, args.vocab};
    const double random = next_random(parameters.random);
    const bool ordered = parameters.top_p < 1.0f || keeps_count(parameters, args.vocab);
    token = ordered ? draw_most_likely(weights, parameters,
                                       static_cast<unsigned long long*>(args.candidates) +
                                           row * args.candidates_stride,
                                       best, random, shared)
                    : draw_any(weights, parameters.min_p, best, random, shared);
  }
  if (threadIdx.x == 0) {
    args.tokens[row] = token;
    args.positions[row] = position + 1;
    args.parameters[row].random = parameters.random;
    *result = token;
  }
}
