package dev.nibble.bench.suite;

import java.util.Arrays;
import java.util.List;

/** Whole numbers with commas between. */
final class Numbers {
  private Numbers() {}

  static List<Integer> parse(String text) {
    return Arrays.stream(text.split(",")).map(String::strip).map(Integer::valueOf).toList();
  }
}
