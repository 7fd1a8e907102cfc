// One error for each checker of compute-sanitizer, to see that it is caught: planted KIND.
#include <cstdio>
#include <cstring>

__global__ void writes_past_the_end(int* x) { x[threadIdx.x] = 1; }

__global__ void reads_what_nobody_wrote(const int* x, int* y) { y[threadIdx.x] = x[threadIdx.x]; }

__global__ void races(int* y) {
  __shared__ int shared[64];
  shared[threadIdx.x] = threadIdx.x;
  y[threadIdx.x] = shared[63 - threadIdx.x];
}

// All lanes wait for half of them.
__global__ void waits_for_others(int* y) {
  const unsigned half = __ballot_sync(0xffffffffu, threadIdx.x % 32 < 16);
  __syncwarp(half);
  y[threadIdx.x] = 1;
}

int main(int count, char** arguments) {
  const char* kind = count > 1 ? arguments[1] : "";
  int *x, *y;
  if (cudaMalloc(&x, 63 * sizeof(int)) || cudaMalloc(&y, 64 * sizeof(int))) return 2;
  if (!std::strcmp(kind, "memcheck")) {
    writes_past_the_end<<<1, 64>>>(x);
  } else if (!std::strcmp(kind, "initcheck")) {
    reads_what_nobody_wrote<<<1, 63>>>(x, y);
  } else if (!std::strcmp(kind, "racecheck")) {
    races<<<1, 64>>>(y);
  } else if (!std::strcmp(kind, "synccheck")) {
    waits_for_others<<<1, 64>>>(y);
  } else {
    std::fprintf(stderr, "usage: planted memcheck|initcheck|racecheck|synccheck\n");
    return 2;
  }
  cudaDeviceSynchronize();
  return 0;
}
