package dev.nibble.quantizer.tokenizer;

import java.util.Arrays;

/**
 * The merges of a byte-pair encoding: which symbol two neighbours become, and in which order.
 *
 * <p>Applying them takes O(n log n) time and O(n) memory for n symbols.
 */
final class MergeTable {
  private static final long EMPTY = -1;
  private static final int END = -1;

  private long[] pairs;
  private int[] priorities;
  private int[] results;
  private int size;

  /** An empty table with room for some merges; it grows when there are more. */
  MergeTable(int expected) {
    int slots = Integer.highestOneBit(Math.max(8, Math.addExact(expected, expected / 2))) << 1;
    pairs = new long[slots];
    Arrays.fill(pairs, EMPTY);
    priorities = new int[slots];
    results = new int[slots];
  }

  /** Adds a merge; of two for one pair the later counts. */
  void put(int left, int right, int priority, int result) {
    int slot = slot(left, right);
    if (pairs[slot] == EMPTY) {
      if (4L * ++size > 3L * pairs.length) {
        grow();
        slot = slot(left, right);
      }
      pairs[slot] = pair(left, right);
    }
    priorities[slot] = priority;
    results[slot] = result;
  }

  private void grow() {
    MergeTable larger = new MergeTable(pairs.length);
    for (int slot = 0; slot < pairs.length; slot++) {
      if (pairs[slot] != EMPTY) {
        int left = (int) (pairs[slot] >>> Integer.SIZE);
        larger.put(left, (int) pairs[slot], priorities[slot], results[slot]);
      }
    }
    pairs = larger.pairs;
    priorities = larger.priorities;
    results = larger.results;
  }

  /**
   * Merges neighbours until none is left that the table has, the smallest priority first, the
   * leftmost among equals.
   *
   * @param symbols the symbols, none negative; replaced by the merged ones
   * @return how many are left
   */
  int apply(int[] symbols, int count) {
    int[] next = new int[count];
    int[] previous = new int[count];
    boolean[] gone = new boolean[count];
    MergeQueue queue = new MergeQueue(count);
    for (int i = 0; i < count; i++) {
      previous[i] = i - 1;
      next[i] = i + 1 < count ? i + 1 : END;
      if (next[i] != END) {
        offer(queue, symbols, i, i + 1);
      }
    }
    while (queue.poll()) {
      int left = queue.topPosition();
      int right = next[left];
      if (gone[left] || right == END) {
        continue;
      }
      int slot = slot(symbols[left], symbols[right]);
      if (pairs[slot] == EMPTY || results[slot] != queue.topResult()) {
        continue;
      }
      symbols[left] = results[slot];
      gone[right] = true;
      next[left] = next[right];
      if (next[left] != END) {
        previous[next[left]] = left;
        offer(queue, symbols, left, next[left]);
      }
      if (previous[left] != END) {
        offer(queue, symbols, previous[left], left);
      }
    }
    int kept = 0;
    for (int i = 0; i < count; i++) {
      if (!gone[i]) {
        symbols[kept++] = symbols[i];
      }
    }
    return kept;
  }

  private void offer(MergeQueue queue, int[] symbols, int left, int right) {
    int slot = slot(symbols[left], symbols[right]);
    if (pairs[slot] != EMPTY) {
      queue.add(priorities[slot], left, results[slot]);
    }
  }

  private int slot(int left, int right) {
    long pair = pair(left, right);
    long mixed = pair * 0x9E3779B97F4A7C15L;
    int slot = (int) (mixed >>> Integer.SIZE) & (pairs.length - 1);
    while (pairs[slot] != EMPTY && pairs[slot] != pair) {
      slot = (slot + 1) & (pairs.length - 1);
    }
    return slot;
  }

  private static long pair(int left, int right) {
    return ((long) left << Integer.SIZE) | right;
  }
}
