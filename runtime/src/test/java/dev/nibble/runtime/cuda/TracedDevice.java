package dev.nibble.runtime.cuda;

import java.nio.file.Path;
import java.util.Optional;

/** A device that runs nothing and writes a trace of what it should, for tests of other packages. */
public final class TracedDevice {
  private final TracingDriver driver = new TracingDriver();

  private TracedDevice() {}

  public static TracedDevice create() {
    return new TracedDevice();
  }

  public Device open() {
    return Device.open(Optional.of(driver), 0);
  }

  /** The next download of as many rows of floats must give these, within a squared error. */
  public void expect(float[] values, int columns, int stride, double limit) {
    driver.expect(values, columns, stride, limit);
  }

  /**
   * Rows that must lie at an address now.
   *
   * @param stride elements from one row to the next
   */
  public void expectNow(
      long address, Element element, float[] values, int columns, int stride, double limit) {
    driver.trace().expect(address, element, values, columns, stride, limit);
  }

  /** How many expectations no download has met. */
  public int unmet() {
    return driver.open();
  }

  public int launches() {
    return driver.trace().launches();
  }

  public void write(Path file) {
    driver.trace().write(file);
  }
}
