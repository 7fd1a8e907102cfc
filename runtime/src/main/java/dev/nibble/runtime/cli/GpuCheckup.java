package dev.nibble.runtime.cli;

import dev.nibble.kernels.KernelImage;
import dev.nibble.kernels.KernelImages;
import dev.nibble.runtime.cuda.CublasLt;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import dev.nibble.runtime.cuda.DeviceMonitor;
import dev.nibble.runtime.cuda.DeviceProperties;
import dev.nibble.runtime.cuda.DeviceReading;
import dev.nibble.runtime.cuda.NvmlException;
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
        findings.add(reading(device));
      }
    }
    findings.add(kernels());
    if (status instanceof CudaStatus.Ready) {
      findings.add(
          Finding.good(
              "cuBLASLt",
              CublasLt.version()
                  .map(version -> "version " + version + ", for measurements alone")
                  .orElse("not installed; only measurements would use it")));
    }
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

  private static Finding reading(DeviceProperties device) {
    String subject = "nvml:" + device.ordinal();
    try (DeviceMonitor monitor = DeviceMonitor.open(device).orElse(null)) {
      if (monitor == null) {
        return new Finding(
            subject,
            "NVML is not installed",
            "models run without it; it tells clocks, temperature and memory, and comes with the"
                + " driver");
      }
      DeviceReading reading = monitor.read();
      return Finding.good(
          subject,
          String.format(
              Locale.ROOT,
              "driver %s, %s of %s in use, clocks %d MHz and memory's %d MHz, %d °C",
              reading.driver(),
              Quantities.bytes(reading.usedBytes()),
              Quantities.bytes(reading.totalBytes()),
              reading.multiprocessorMegahertz(),
              reading.memoryMegahertz(),
              reading.celsius()));
    } catch (NvmlException e) {
      return new Finding(
          subject, e.getMessage(), "models run without NVML; see what nvidia-smi says");
    }
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
