package dev.nibble.runtime.cli;

import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * How far a long job is: a bar with the time left on a terminal, plain lines with some seconds
 * between them otherwise. For one thread.
 */
final class ProgressLine implements AutoCloseable {
  private static final int BAR = 30;
  private static final long REDRAW_NANOS = 100_000_000L;
  private static final long LINE_NANOS = 5_000_000_000L;

  private final Host host;
  private final LongSupplier clock;
  private final long start;
  private long lastShown;
  private boolean open;

  ProgressLine(Host host) {
    this(host, System::nanoTime);
  }

  ProgressLine(Host host, LongSupplier clock) {
    this.host = host;
    this.clock = clock;
    start = clock.getAsLong();
    lastShown = start;
  }

  /**
   * Tells how far it is.
   *
   * @param done steps done; before the first there is nothing to tell
   * @param total steps in all
   * @param what the step that is done
   */
  void at(long done, long total, String what) {
    long now = clock.getAsLong();
    long pause = host.redraws() ? REDRAW_NANOS : LINE_NANOS;
    if (done <= 0 || (done < total && now - lastShown < pause)) {
      return;
    }
    lastShown = now;
    String left = duration((now - start) / (double) done * (total - done) / 1e9);
    if (host.redraws()) {
      int filled = (int) (BAR * done / total);
      host.messages()
          .printf(
              Locale.ROOT,
              "\r\033[K[%s%s] %d/%d  %s left  %s",
              "#".repeat(filled),
              ".".repeat(BAR - filled),
              done,
              total,
              left,
              what);
      host.messages().flush();
      open = true;
    } else {
      host.messages().printf(Locale.ROOT, "%d/%d  %s left  %s%n", done, total, left, what);
    }
  }

  private static String duration(double seconds) {
    long whole = Math.round(seconds);
    return whole >= 3600
        ? String.format(Locale.ROOT, "%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60)
        : String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60);
  }

  /** Takes the bar away, so that what follows starts on a clean line. */
  @Override
  public void close() {
    if (open) {
      host.messages().print("\r\033[K");
      host.messages().flush();
      open = false;
    }
  }
}
