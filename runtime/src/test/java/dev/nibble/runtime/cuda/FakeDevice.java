package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.util.List;
import java.util.Optional;

/** A {@link FakeDriver} for the tests of other packages. */
public final class FakeDevice {
  public static final int OUT_OF_MEMORY = cuda_constants.CUDA_ERROR_OUT_OF_MEMORY();
  public static final int ILLEGAL_ADDRESS = cuda_constants.CUDA_ERROR_ILLEGAL_ADDRESS();

  private final FakeDriver driver;

  private FakeDevice(FakeDriver driver) {
    this.driver = driver;
  }

  public static FakeDevice sound() {
    return new FakeDevice(FakeDriver.of(cuda_constants.CUDA_VERSION(), 1));
  }

  /** A device whose n-th call fails. */
  public static FakeDevice failing(int call, int failure) {
    return new FakeDevice(FakeDriver.failing(call, failure));
  }

  /** A device that does its work when that is waited for, and chooses tokens by {@link #choice}. */
  public static FakeDevice late() {
    return new FakeDevice(new ComputingDriver(ComputingDriver.Pace.LATE));
  }

  /** A device that has done its work before a call returns, and chooses as {@link #late} does. */
  public static FakeDevice immediate() {
    return new FakeDevice(new ComputingDriver(ComputingDriver.Pace.IMMEDIATE));
  }

  /**
   * The token that such a device chooses after others.
   *
   * @param tokens the first {@code count} are read
   * @param random state of the random numbers after the draw; 0 for greedy
   * @return the token; -1 for logits that are not finite
   */
  public static int choice(int[] tokens, int count, long random, int vocab) {
    return ComputingDriver.choice(i -> tokens[i], count, random, vocab);
  }

  public void setFreeBytes(long bytes) {
    driver.setFreeBytes(bytes);
  }

  public Device open() {
    return Device.open(Optional.of(driver), 0);
  }

  public List<String> calls() {
    return driver.calls();
  }

  public List<String> live() {
    return driver.live();
  }

  /** Names of the kernels launched so far. */
  public List<String> kernels() {
    return driver.launches().stream().map(FakeDriver.Launch::kernel).toList();
  }
}
