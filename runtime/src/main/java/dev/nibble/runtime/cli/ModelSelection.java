package dev.nibble.runtime.cli;

import dev.nibble.runtime.model.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options that every command with a model has. */
final class ModelSelection {
  @Option(
      names = {"-m", "--model"},
      paramLabel = "DIR",
      description = "Model folder. Default: the model that comes with Nibble.")
  private @Nullable Path folder;

  @Option(
      names = "--device",
      paramLabel = "auto|cpu|cuda|cuda:N",
      description = "Where to run. Default: auto, the first GPU that can, else the CPU.")
  private Device device = Device.auto();

  /** The folder that was named. */
  Optional<Path> folder() {
    return Optional.ofNullable(folder);
  }

  Device device() {
    return device;
  }

  /**
   * Uses the folder that was named or, if none was, the default model, which is quantized on its
   * first use; a damaged copy of it is made again.
   */
  <T> T open(Host host, Opening<T> opening) throws IOException {
    return folder == null ? new DefaultModel(host).open(opening) : opening.open(checked(folder));
  }

  /** The folder that was named, or the default model as it comes, for work without weights. */
  Path source(Host host) throws IOException {
    return folder == null ? new DefaultModel(host).source() : checked(folder);
  }

  private static Path checked(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      throw new NoSuchFileException(folder.toString());
    }
    if (!Files.isDirectory(folder)) {
      throw new UnfitInputException(
          folder + ": expected a model folder, found a file; give the folder it is in");
    }
    return folder;
  }

  /** Opens a model folder. */
  @FunctionalInterface
  interface Opening<T> {
    T open(Path folder) throws IOException;
  }
}
