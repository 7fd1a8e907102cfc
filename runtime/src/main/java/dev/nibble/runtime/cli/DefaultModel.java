package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.method.FolderBusyException;
import dev.nibble.quantizer.method.FolderExistsException;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/**
 * The model that comes with Nibble. Commands run a packed copy of it, which is made on first use in
 * the user's cache folder and named after what it was made from. Where that cannot be written, the
 * model runs unquantized, and a message says so.
 */
final class DefaultModel {
  static final String NAME = "books-8m";
  private static final QuantScheme SCHEME = QuantScheme.parse("W4A16g128");
  private static final long WAIT_MILLIS = 100;

  private final Host host;

  DefaultModel(Host host) {
    this.host = host;
  }

  /** Opens the packed copy, making it when it is missing or damaged. */
  <T> T open(ModelSelection.Opening<T> opening) throws IOException {
    Path source = source();
    Path packed = cacheFolder().resolve(name(source));
    if (!Files.exists(packed)) {
      host.messages().printf("nibble: quantizing %s to %s, which happens once%n", NAME, SCHEME);
      Optional<String> problem = make(source, packed, Existing.KEEP);
      if (problem.isPresent()) {
        host.messages().printf("nibble: %s; running %s unquantized%n", problem.get(), NAME);
        return opening.open(source);
      }
    }
    try {
      return opening.open(packed);
    } catch (ModelFormatException damaged) {
      host.messages().printf("nibble: %s; making it again%n", damaged.getMessage());
      Optional<String> problem = make(source, packed, Existing.REPLACE);
      return opening.open(problem.isPresent() ? source : packed);
    }
  }

  /** The model as it comes. */
  Path source() {
    return host.home()
        .map(home -> home.resolve("models").resolve(NAME))
        .orElseThrow(() ->
            new IllegalArgumentException(
                "no default model, because this was not started by bin/nibble: give --model"));
  }

  private Path cacheFolder() {
    String cache = host.environment().getOrDefault("XDG_CACHE_HOME", "");
    // The XDG specification has relative paths ignored.
    Path folder =
        !cache.isEmpty() && Path.of(cache).isAbsolute()
            ? Path.of(cache)
            : Path.of(
                host.environment().getOrDefault("HOME", System.getProperty("user.home")), ".cache");
    return folder.resolve("nibble");
  }

  private static String name(Path source) throws IOException {
    return String.format(
        Locale.ROOT, "%08x-%s-v%d", checksum(source), SCHEME, QuantizationConfig.FORMAT_VERSION);
  }

  /** All but the model card. */
  private static boolean isModelFile(Path file) {
    return Files.isRegularFile(file) && !file.toString().endsWith(".md");
  }

  /** CRC32C of the names, sizes and bytes of a model's files. */
  private static long checksum(Path folder) throws IOException {
    List<Path> files;
    try (Stream<Path> entries = Files.list(folder)) {
      files = entries.filter(DefaultModel::isModelFile).sorted().toList();
    }
    CRC32C crc = new CRC32C();
    for (Path file : files) {
      try (FileChannel channel = FileChannel.open(file)) {
        crc.update(
            (file.getFileName() + " " + channel.size() + "\n").getBytes(StandardCharsets.UTF_8));
        crc.update(channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()));
      }
    }
    return crc.getValue();
  }

  /**
   * Makes the packed copy, or waits for another process that does.
   *
   * @return why it could not be written, if so
   */
  private static Optional<String> make(Path source, Path packed, Existing existing)
      throws IOException {
    Path cache = packed.getParent();
    try {
      Files.createDirectories(cache);
    } catch (FileSystemException e) {
      return Optional.of(cache + ": cannot be made");
    }
    if (!Files.isWritable(cache)) {
      return Optional.of(cache + ": permission denied");
    }
    int threads = Runtime.getRuntime().availableProcessors();
    FolderQuantizer.Request request =
        new FolderQuantizer.Request(source, packed, SCHEME, existing, threads);
    boolean made = false;
    while (!made) {
      try {
        FolderQuantizer.quantize(request, FolderQuantizer.Listener.SILENT);
        made = true;
      } catch (FolderExistsException e) {
        made = true; // another process was faster
      } catch (FolderBusyException e) {
        pause();
      }
    }
    return Optional.empty();
  }

  private static void pause() throws InterruptedIOException {
    try {
      Thread.sleep(WAIT_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while waiting for the default model");
    }
  }
}
