package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class StopScannerTest {
  @Test
  void holdsBackWhatMayBeTheStartOfAStop() {
    StopScanner scanner = new StopScanner(List.of("END", "\n\n"));
    assertEquals("one ", scanner.next("one E"));
    assertEquals("E", scanner.next("E"));
    assertEquals("EN two", scanner.next("N two"));
    assertEquals("", scanner.next("\n"));
    assertEquals("\n three", scanner.next(" three"));
    assertEquals("", scanner.next("EN"));
    assertFalse(scanner.stopped());
    assertEquals("EN", scanner.finish());
  }

  @Test
  void endsInFrontOfTheFirstStop() {
    StopScanner scanner = new StopScanner(List.of("late", "ab"));
    assertEquals("x", scanner.next("xa"));
    assertEquals("", scanner.next("b and late"));
    assertTrue(scanner.stopped());
    assertEquals("", scanner.finish());
  }

  @Test
  void findsAStopThatOverlapsItsOwnStart() {
    StopScanner scanner = new StopScanner(List.of("aab"));
    StringBuilder text = new StringBuilder();
    for (String piece : List.of("a", "a", "a", "b")) {
      text.append(scanner.next(piece));
    }
    assertTrue(scanner.stopped());
    assertEquals("a", text.toString());
  }

  @Test
  void keepsSurrogatesTogether() {
    StopScanner scanner = new StopScanner(List.of("\uD83D\uDE00!"));
    assertEquals("x", scanner.next("x\uD83D\uDE00"));
    assertEquals("\uD83D\uDE00\uD83D\uDE01", scanner.next("\uD83D\uDE01"));
  }

  @Test
  void everyCutOfATextGivesTheSame() {
    String whole = "abcabdabcabcabe";
    for (int first = 0; first <= whole.length(); first++) {
      for (int second = first; second <= whole.length(); second++) {
        StopScanner scanner = new StopScanner(List.of("abcabe", "zz"));
        String text =
            scanner.next(whole.substring(0, first))
                + scanner.next(whole.substring(first, second))
                + scanner.next(whole.substring(second));
        assertEquals("abcabdabc", text);
        assertTrue(scanner.stopped());
      }
    }
  }
}
