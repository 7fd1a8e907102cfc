// Chooses the next token of each sequence and moves the sequence on by it: temperature, top-k, top-p,
// min-p in this order, then one draw. Temperature 0 takes the largest logit, the smallest id among
// equals. The random numbers are java.util.SplittableRandom's.
//
// A sequence whose position is negative is idle: nothing of it is touched. Logits that are not
// finite make it idle, and say so where the host looks: nothing else of it is touched.
// What the next step reads is thereby there, without the host, which finds a row's last two tokens
// in `results`.
//   grid (SAMPLE_PARTS, rows, 1), block (SAMPLE_THREADS, 1, 1), no dynamic shared memory.
#ifndef NIBBLE_SAMPLE_H
#define NIBBLE_SAMPLE_H

#include <assert.h>
#include <stdint.h>

#define SAMPLE_PARTS 8
#define SAMPLE_THREADS 1024
#define SAMPLE_MAX_VOCAB 1048576
#define SAMPLE_RESULTS 2
#define SAMPLE_NOT_FINITE (-1)
#define SAMPLE_PARAMETERS_BYTES 24
#define SAMPLE_ARGS_BYTES 88

// As dev.nibble.runtime.engine.SamplingParameters, whose penalty is the host's.
struct sample_parameters {
  // State of the random numbers; at first the seed.
  uint64_t random;
  // 0 for greedy.
  float temperature;
  // 1 for all.
  float top_p;
  // 0 for none.
  float min_p;
  // 0 for all.
  int32_t top_k;
};

struct sample_args {
  // fp32 [rows, logits_stride].
  const float* logits;
  // [rows].
  struct sample_parameters* parameters;
  // [rows]: the token chosen.
  int32_t* tokens;
  // [rows]: plus 1, the position of the token chosen; -1 where logits are not finite.
  int32_t* positions;
  // [rows, SAMPLE_RESULTS], in pinned memory of the host: the token chosen or SAMPLE_NOT_FINITE, at
  // [row][positions[row] % SAMPLE_RESULTS] of the position that the row came with.
  int32_t* results;
  // [rows, SAMPLE_PARTS] of 16 bytes.
  void* partials;
  // [rows], zeros before the first launch and after each.
  uint32_t* arrivals;
  // [rows, vocab padded to a power of 2] of 8 bytes; read where a temperature is not 0.
  void* candidates;
  // Elements from one row to the next.
  int64_t logits_stride;
  int64_t candidates_stride;
  // At most SAMPLE_MAX_VOCAB.
  int32_t vocab;
  // 0.
  int32_t reserved;
};

static_assert(sizeof(struct sample_parameters) == SAMPLE_PARAMETERS_BYTES, "the host fills these bytes");
static_assert(sizeof(struct sample_args) == SAMPLE_ARGS_BYTES, "the launcher fills these bytes");

#endif  // NIBBLE_SAMPLE_H
