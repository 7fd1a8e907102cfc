package dev.nibble.bench.result;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * What a figure was measured on.
 *
 * @param device the GPU's name, or the CPU's
 * @param driver release of the GPU's driver, empty for a CPU
 * @param cpu its name
 * @param cores that the process may use
 * @param java version
 */
public record Machine(String device, String driver, String cpu, int cores, String java) {
  private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

  /**
   * This machine, for figures of its CPU.
   *
   * @return the machine
   */
  public static Machine ofCpu() {
    String cpu = cpuName();
    return new Machine(
        cpu, "", cpu, Runtime.getRuntime().availableProcessors(), Runtime.version().toString());
  }

  /**
   * This machine, for figures of a GPU.
   *
   * @param device the GPU's name
   * @param driver its driver's release
   * @return the machine
   */
  public Machine withGpu(String device, String driver) {
    return new Machine(device, driver, cpu, cores, java);
  }

  private static String cpuName() {
    if (!Files.isReadable(CPU_INFO)) {
      return System.getProperty("os.arch");
    }
    try (Stream<String> lines = Files.lines(CPU_INFO)) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      throw new UncheckedIOException(CPU_INFO.toString(), e);
    }
  }
}
