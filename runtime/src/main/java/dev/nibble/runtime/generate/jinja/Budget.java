package dev.nibble.runtime.generate.jinja;

/** What one rendering may still cost. Every evaluation, loop turn and copied character counts. */
final class Budget {
  static final long NANOS = 1_000_000_000L;

  /** Of output, in UTF-8 bytes; and of any one string, in characters. */
  static final int OUTPUT_BYTES = 1 << 20;

  /** Characters and list items that may be made in all, those thrown away included. */
  private static final long UNITS = 64L << 20;

  private static final int DEPTH = 100;
  private static final int UNITS_WORTH_A_CLOCK = 1000;
  private static final int STEPS_BETWEEN_CLOCKS = 32;

  private final long deadline = System.nanoTime() + NANOS;
  private long unitsLeft = UNITS;
  private int depth;
  private int steps;

  /** Counts one step. */
  void step() {
    if (++steps % STEPS_BETWEEN_CLOCKS == 0) {
      checkTime();
    }
  }

  /** Counts characters or items about to be made. */
  void take(long units) {
    unitsLeft -= units;
    if (unitsLeft < 0) {
      throw new TemplateException("the template needs too much memory");
    }
    if (units >= UNITS_WORTH_A_CLOCK) {
      checkTime();
    } else {
      step();
    }
  }

  /** Counts a string about to be made, and refuses one that is too long. */
  void takeString(long length) {
    grow(length, length);
  }

  /** Counts what is added to a string that has grown to some length. */
  void grow(long length, long added) {
    if (length > OUTPUT_BYTES) {
      throw new TemplateException("the template makes a text of more than 1 MB");
    }
    take(added);
  }

  void enter() {
    step();
    if (++depth > DEPTH) {
      throw new TemplateException("the template calls itself more than " + DEPTH + " deep");
    }
  }

  void leave() {
    depth--;
  }

  private void checkTime() {
    if (System.nanoTime() - deadline > 0) {
      throw new TemplateException("the template takes longer than 1 s");
    }
  }
}
