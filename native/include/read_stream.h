// Reads memory once, to measure how fast it can be read: no kernel that reads as many bytes is
// faster. With 0 bytes it does nothing, which is what a launch costs.
//
// Kernel read_stream of the image read_stream:
//   grid (any, 1, 1), block (READ_STREAM_THREADS, 1, 1), no dynamic shared memory. Most threads at
//   once: two blocks a multiprocessor that holds 2048.
#ifndef NIBBLE_READ_STREAM_H
#define NIBBLE_READ_STREAM_H

#include <assert.h>
#include <stdint.h>

#define READ_STREAM_THREADS 1024
#define READ_STREAM_BYTES 16  // of one load; the data is aligned to it and a multiple of it
#define READ_STREAM_ARGS_BYTES 24

struct read_stream_args {
  const void* data;
  int64_t bytes;
  // Of each block the xor of the 32-bit words it read, [blocks]; not written if there are no bytes.
  uint32_t* sums;
};

#ifdef __cplusplus
static_assert(sizeof(struct read_stream_args) == READ_STREAM_ARGS_BYTES,
              "the launcher fills these bytes");
#endif

#endif  // NIBBLE_READ_STREAM_H
