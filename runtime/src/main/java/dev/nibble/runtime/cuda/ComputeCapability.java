package dev.nibble.runtime.cuda;

import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * A GPU's architecture.
 *
 * @param major such as 9
 * @param minor such as 0
 */
public record ComputeCapability(int major, int minor) {
  private static final String PTX = "compute_";
  private static final String BINARY = "sm_";

  /**
   * Chooses among the architectures that kernels were compiled for: the device's own with its
   * special instructions, then its own, then the newest before it within the major version, then
   * the newest PTX that is not newer than the device.
   *
   * @param architectures such as {@code sm_90a}, {@code sm_86} and {@code compute_80}
   * @return the one to load, empty if none runs on the device
   */
  public Optional<String> best(List<String> architectures) {
    return architectures.stream()
        .filter(this::runs)
        .max(
            Comparator.comparing((String name) -> name.startsWith(BINARY))
                .thenComparing(ComputeCapability::number)
                .thenComparing(name -> name.endsWith("a")));
  }

  private boolean runs(String architecture) {
    int number = number(architecture);
    int own = major * 10 + minor;
    if (architecture.endsWith("a")) {
      return number == own;
    }
    return architecture.startsWith(PTX) ? number <= own : number <= own && number / 10 == major;
  }

  /** The digits: 90 of {@code sm_90a}. */
  private static int number(String architecture) {
    boolean ptx = architecture.startsWith(PTX);
    if (!ptx && !architecture.startsWith(BINARY)) {
      throw new IllegalArgumentException(
          "architecture '" + architecture + "': expected sm_NN, sm_NNa or compute_NN");
    }
    int start = (ptx ? PTX : BINARY).length();
    int end = architecture.length() - (architecture.endsWith("a") ? 1 : 0);
    return Integer.parseInt(architecture, start, end, 10);
  }

  @Override
  public String toString() {
    return major + "." + minor;
  }
}
