package dev.nibble.bench.result;

/**
 * A turn of a step, as {@link Measurement.Run#step} names it: {@code 1a2b3c4d#2}.
 *
 * @param step its name
 * @param round which time it is done, from 1
 */
public record StepRound(String step, int round) {
  private static final char MARK = '#';

  /**
   * Takes a name apart.
   *
   * @param text a step, with the round behind it or without, which is the first
   * @return both
   */
  public static StepRound parse(String text) {
    int mark = text.lastIndexOf(MARK);
    return mark < 0
        ? new StepRound(text, 1)
        : new StepRound(
            text.substring(0, mark), Integer.parseInt(text, mark + 1, text.length(), 10));
  }

  @Override
  public String toString() {
    return step + MARK + round;
  }
}
