package dev.nibble.runtime.model;

/** A device that was asked for is absent or cannot run the model. The message is one line. */
public final class DeviceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * Creates the exception.
   *
   * @param device the device asked for
   * @param problem what is missing, and what to do
   */
  public DeviceException(Device device, String problem) {
    super("device " + device + ": " + problem);
  }
}
