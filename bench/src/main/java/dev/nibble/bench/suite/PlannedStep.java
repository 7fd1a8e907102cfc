package dev.nibble.bench.suite;

import dev.nibble.bench.result.StepRound;

/**
 * A step of a file, at one of the places where it is done.
 *
 * @param name by which the next run finds it, and which of its rounds this is
 * @param text the JSON that it was read from
 * @param step what is done
 */
record PlannedStep(StepRound name, String text, Step step) {
  String title() {
    return name.round() == 1 ? step.title() : step.title() + ", round " + name.round();
  }
}
