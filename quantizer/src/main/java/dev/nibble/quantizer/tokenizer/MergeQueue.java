package dev.nibble.quantizer.tokenizer;

import java.util.Arrays;

/** A binary min-heap of candidate merges, by priority and then by position. */
final class MergeQueue {
  private long[] keys;
  private int[] results;
  private int size;

  private int topPosition;
  private int topResult;

  /** An empty queue; it grows beyond {@code capacity}, which must be positive. */
  MergeQueue(int capacity) {
    keys = new long[capacity];
    results = new int[capacity];
  }

  void add(int priority, int position, int result) {
    if (size == keys.length) {
      int capacity = Math.addExact(size, size);
      keys = Arrays.copyOf(keys, capacity);
      results = Arrays.copyOf(results, capacity);
    }
    long key = ((long) priority << Integer.SIZE) | position;
    int hole = size++;
    while (hole > 0) {
      int parent = (hole - 1) >>> 1;
      if (keys[parent] <= key) {
        break;
      }
      keys[hole] = keys[parent];
      results[hole] = results[parent];
      hole = parent;
    }
    keys[hole] = key;
    results[hole] = result;
  }

  /** Takes the first merge out and makes it the top; false if there is none. */
  boolean poll() {
    if (size == 0) {
      return false;
    }
    topPosition = (int) keys[0];
    topResult = results[0];
    size--;
    long key = keys[size];
    int result = results[size];
    int hole = 0;
    while (true) {
      int child = 2 * hole + 1;
      if (child >= size) {
        break;
      }
      if (child + 1 < size && keys[child + 1] < keys[child]) {
        child++;
      }
      if (key <= keys[child]) {
        break;
      }
      keys[hole] = keys[child];
      results[hole] = results[child];
      hole = child;
    }
    keys[hole] = key;
    results[hole] = result;
    return true;
  }

  int topPosition() {
    return topPosition;
  }

  int topResult() {
    return topResult;
  }
}
