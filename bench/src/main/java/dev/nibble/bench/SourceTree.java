package dev.nibble.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** The project's folder, for the model and texts that come with it. */
public final class SourceTree {
  private static final String MARK = "runtime/models/books-8m";

  private SourceTree() {}

  /**
   * Looks for it.
   *
   * @return the folder that {@code -Dproject.root} names, or the nearest one above the current
   *     folder that has the model
   */
  public static Optional<Path> find() {
    String named = System.getProperty("project.root");
    Path folder = Path.of(named == null ? "" : named).toAbsolutePath();
    while (folder != null && !Files.isDirectory(folder.resolve(MARK))) {
      folder = folder.getParent();
    }
    return Optional.ofNullable(folder);
  }

  /**
   * The model that comes with the project.
   *
   * @return its folder
   * @throws IllegalStateException if the project's folder is not here
   */
  public static Path model() {
    return file(MARK);
  }

  /**
   * A file of the project.
   *
   * @param path from its root
   * @return the file
   * @throws IllegalStateException if the project's folder is not here
   */
  public static Path file(String path) {
    return find()
        .orElseThrow(() ->
            new IllegalStateException(
                "the project's folder is not here; start in it, or give -Dproject.root"))
        .resolve(path);
  }
}
