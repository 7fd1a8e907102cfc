package dev.nibble.quantizer.method;

import java.nio.file.Path;

/** A destination that holds files which were not to be replaced. */
public final class FolderExistsException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  /**
   * Creates the exception.
   *
   * @param folder the destination
   * @param problem what is wrong with it and what to do
   */
  public FolderExistsException(Path folder, String problem) {
    super(folder + ": " + problem);
  }
}
