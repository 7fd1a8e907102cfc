package dev.nibble.runtime.cli;

import dev.nibble.kernels.KernelImage;
import dev.nibble.kernels.KernelImages;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import dev.nibble.runtime.cuda.DeviceProperties;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** What {@code doctor} finds out about GPUs. */
final class GpuCheckup {
  private GpuCheckup() {}

  static List<Finding> findings() {
    List<Finding> findings = new ArrayList<>();
    CudaStatus status = CudaDevices.probe();
    findings.add(new Finding("CUDA", status.summary(), status.advice()));
    if (status instanceof CudaStatus.Ready ready) {
      for (DeviceProperties device : ready.devices()) {
        findings.add(Finding.good("cuda:" + device.ordinal(), describe(device)));
      }
    }
    findings.add(kernels());
    return findings;
  }

  private static String describe(DeviceProperties device) {
    return String.format(
        Locale.ROOT,
        "%s, compute capability %s, %s, %d multiprocessors, kernels: %s",
        device.name(),
        device.capability(),
        Quantities.bytes(device.memoryBytes()),
        device.multiprocessors(),
        device.imageArchitecture().orElse("none"));
  }

  private static Finding kernels() {
    List<KernelImage> images = KernelImages.list();
    if (images.isEmpty()) {
      return new Finding(
          "kernels",
          "no kernel images in this build",
          "models run on the CPU; a build with the CUDA toolkit brings the kernels");
    }
    String architectures =
        images.stream()
            .map(KernelImage::architecture)
            .distinct()
            .sorted()
            .collect(Collectors.joining(", "));
    return Finding.good("kernels", images.size() + " images for " + architectures);
  }
}
