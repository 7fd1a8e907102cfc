package dev.nibble.runtime.cli;

import java.util.Locale;

/** Large numbers for people. */
final class Quantities {
  private static final long KIB = 1L << 10;
  private static final long MIB = 1L << 20;
  private static final long GIB = 1L << 30;

  private Quantities() {}

  /** A size in binary units, such as {@code 3.56 GiB}. */
  static String bytes(long bytes) {
    if (bytes >= GIB) {
      return String.format(Locale.ROOT, "%.2f GiB", (double) bytes / GIB);
    }
    if (bytes >= MIB) {
      return String.format(Locale.ROOT, "%.2f MiB", (double) bytes / MIB);
    }
    return bytes >= KIB
        ? String.format(Locale.ROOT, "%.2f KiB", (double) bytes / KIB)
        : bytes + " B";
  }

  /** A count in millions or billions, such as {@code 6.74 B}. */
  static String count(long count) {
    return count >= 1_000_000_000
        ? String.format(Locale.ROOT, "%.2f B", count / 1e9)
        : String.format(Locale.ROOT, "%.2f M", count / 1e6);
  }
}
