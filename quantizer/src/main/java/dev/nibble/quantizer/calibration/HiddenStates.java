package dev.nibble.quantizer.calibration;

import java.util.Arrays;

/** The residual stream between two blocks, [windows][context x hidden]. */
public final class HiddenStates {
  private final float[][] windows;

  /**
   * Takes windows.
   *
   * @param windows one array a window, which it keeps
   */
  public HiddenStates(float[][] windows) {
    this.windows = windows.clone();
  }

  /**
   * Number of windows.
   *
   * @return windows
   */
  public int windows() {
    return windows.length;
  }

  /**
   * One window.
   *
   * @param index from 0
   * @return [context, hidden], live
   */
  public float[] window(int index) {
    return windows[index];
  }

  /**
   * Some of the windows.
   *
   * @param count how many at most
   * @return the first of them, live
   */
  public HiddenStates first(int count) {
    return new HiddenStates(Arrays.copyOf(windows, Math.min(count, windows.length)));
  }

  /**
   * How far other states are from these.
   *
   * @param other states of the same shape, or more windows
   * @return the mean squared difference
   */
  public double meanSquaredError(HiddenStates other) {
    double sum = 0;
    long count = 0;
    for (int w = 0; w < windows.length; w++) {
      for (int i = 0; i < windows[w].length; i++) {
        double d = windows[w][i] - other.windows[w][i];
        sum += d * d;
      }
      count += windows[w].length;
    }
    return sum / count;
  }

  /**
   * Whether every number is finite.
   *
   * @return false if one is not
   */
  public boolean isFinite() {
    for (float[] window : windows) {
      for (float value : window) {
        if (!Float.isFinite(value)) {
          return false;
        }
      }
    }
    return true;
  }
}
