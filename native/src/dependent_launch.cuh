// Programmatic dependent launch, on architectures that have it; nothing on others, and harmless in a
// launch without the attribute.
#ifndef NIBBLE_DEPENDENT_LAUNCH_CUH
#define NIBBLE_DEPENDENT_LAUNCH_CUH

// Waits until the kernel before this one is done and what it wrote can be read. Nothing it wrote may
// be read earlier, and nothing written.
__device__ __forceinline__ void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Lets the next kernel's blocks start.
__device__ __forceinline__ void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#endif  // NIBBLE_DEPENDENT_LAUNCH_CUH
