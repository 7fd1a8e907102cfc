// See gemv.h.
#include "gemv.cuh"

NIBBLE_GEMV_KERNELS(6)
