package dev.nibble.runtime.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** Most memory that this process has held. */
final class PeakMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String MOST_RESIDENT = "VmHWM:";

  private PeakMemory() {}

  /**
   * Asks the kernel.
   *
   * @return bytes, 0 on systems that do not tell
   */
  static long bytes() throws IOException {
    if (!Files.isReadable(STATUS)) {
      return 0;
    }
    try (Stream<String> lines = Files.lines(STATUS)) {
      return lines
          .filter(line -> line.startsWith(MOST_RESIDENT))
          .map(line -> line.substring(MOST_RESIDENT.length()).replace("kB", "").strip())
          .mapToLong(kibibytes -> Math.multiplyExact(Long.parseLong(kibibytes), 1024L))
          .findFirst()
          .orElse(0);
    }
  }
}
