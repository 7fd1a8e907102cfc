package dev.nibble.runtime.model;

/** A sound model that a device cannot run. The message is one line. */
public final class UnfitModelException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * Creates the exception.
   *
   * @param device the device asked for
   * @param part of the model, such as a tensor's name
   * @param problem what it has, and what to do
   */
  public UnfitModelException(Device device, String part, String problem) {
    super(part + ": " + problem + " (device " + device + ")");
  }
}
