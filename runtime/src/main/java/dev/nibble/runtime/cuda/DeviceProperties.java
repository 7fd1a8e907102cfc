package dev.nibble.runtime.cuda;

import dev.nibble.kernels.KernelImage;
import dev.nibble.kernels.KernelImages;
import java.util.Optional;

/**
 * What a GPU is.
 *
 * @param ordinal its number, as the driver counts
 * @param name the maker's, such as {@code NVIDIA H200}
 * @param uuid such as {@code GPU-4a5c...}, the same in every process
 * @param capability its architecture
 * @param memoryBytes all its memory
 * @param multiprocessors how many
 * @param l2Bytes L2 cache
 * @param sharedBytesPerBlock shared memory that one block may ask for
 */
public record DeviceProperties(
    int ordinal,
    String name,
    String uuid,
    ComputeCapability capability,
    long memoryBytes,
    int multiprocessors,
    int l2Bytes,
    int sharedBytesPerBlock) {

  /**
   * The architecture whose kernel images it would load.
   *
   * @return such as {@code sm_90a}, empty if no image runs on it
   */
  public Optional<String> imageArchitecture() {
    return capability.best(
        KernelImages.list().stream().map(KernelImage::architecture).distinct().toList());
  }
}
