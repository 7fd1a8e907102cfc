package dev.nibble.quantizer.method;

import java.io.IOException;
import java.nio.file.Path;

/** A destination that another run is making; trying again later helps. */
public final class FolderBusyException extends IOException {
  private static final long serialVersionUID = 1L;

  /**
   * Creates the exception.
   *
   * @param folder the destination
   */
  public FolderBusyException(Path folder) {
    super(folder + ": another run is making this folder; try again when it has ended");
  }
}
