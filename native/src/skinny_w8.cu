// See skinny.h.
#include "skinny.cuh"

NIBBLE_SKINNY_KERNELS(8)
