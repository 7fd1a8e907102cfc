package dev.nibble.runtime.cli;

import com.sun.management.OperatingSystemMXBean;
import dev.nibble.quantizer.tensor.TensorOperations;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;

/** What {@code doctor} finds out about the machine and its JDK. */
final class CpuCheckup {
  /** What a 7B model at 4 bits needs, with its cache. */
  private static final long ROOMY_BYTES = 6L << 30;

  private CpuCheckup() {}

  static List<Finding> findings() {
    return List.of(jdk(), cpu(), vectors(), memory());
  }

  private static Finding jdk() {
    return Finding.good("JDK", System.getProperty("java.vendor") + " " + Runtime.version());
  }

  private static Finding cpu() {
    return Finding.good(
        "CPU",
        String.format(
            Locale.ROOT,
            "%s, %d cores",
            System.getProperty("os.arch"),
            Runtime.getRuntime().availableProcessors()));
  }

  private static Finding vectors() {
    try (TensorOperations operations =
        TensorOperations.best(Runtime.getRuntime().availableProcessors())) {
      return new Finding(
          "vectors",
          operations.name(),
          operations.name().startsWith("scalar")
              ? "the CPU path is many times slower than on a processor with AVX2 or newer"
              : "");
    }
  }

  private static Finding memory() {
    OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    long free = system.getFreeMemorySize();
    String state =
        String.format(
            Locale.ROOT,
            "%s, %s free, Java heap up to %s",
            Quantities.bytes(system.getTotalMemorySize()),
            Quantities.bytes(free),
            Quantities.bytes(Runtime.getRuntime().maxMemory()));
    return new Finding(
        "memory",
        state,
        system.getTotalMemorySize() < ROOMY_BYTES
            ? "small models only: a 7B model at 4 bits needs about " + Quantities.bytes(ROOMY_BYTES)
            : "");
  }
}
