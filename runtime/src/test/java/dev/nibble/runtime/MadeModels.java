package dev.nibble.runtime;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.generate.Perplexity;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * The default model, quantized and measured, each way once. {@code -Dcalibrated.folder=FOLDER}
 * keeps what is made, for other processes too: one that was ended goes on from its last block.
 * {@code -Dcalibrated.threads=N} threads compute (2), which changes no bit of it.
 */
public final class MadeModels {
  /** Threads that the times are given for. */
  public static final int CORES = 2;

  private static final int THREADS = Integer.getInteger("calibrated.threads", CORES);

  private final Path folder;
  private final Path results;

  /**
   * What came of a run.
   *
   * @param what method, options, scheme and seed
   * @param perplexity of the packed model
   * @param coreSeconds that quantizing took
   */
  public record Made(String what, double perplexity, double coreSeconds) {}

  /**
   * On what a model is calibrated and measured.
   *
   * @param samples windows to calibrate on
   * @param context tokens of each
   * @param seed of the method
   * @param text to measure
   * @param measured tokens of a window of it
   * @param windows of it at most
   */
  public record Size(int samples, int context, long seed, Path text, int measured, int windows) {}

  /** Keeps what is made in a folder, unless another is given. */
  public MadeModels(Path folder) {
    this.folder = Path.of(System.getProperty("calibrated.folder", folder.toString()));
    results = this.folder.resolve("made.tsv");
  }

  /**
   * Quantizes and measures, unless that was done before.
   *
   * @param name of the method, with what its result depends on
   */
  public Made make(String name, BlockMethod method, String scheme, Size size) throws IOException {
    String what =
        "%s %s, %d windows of %d, seed %d, %s"
            .formatted(
                name, scheme, size.samples, size.context, size.seed, size.text.getFileName());
    Path packed = folder.resolve(what.replaceAll("[^A-Za-z0-9+]+", "-"));
    Path lock = packed.resolveSibling(packed.getFileName() + ".making");
    try (FileChannel channel =
        FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      if (!channel.lock().isValid()) {
        throw new IOException(lock + ": not locked");
      }
      Optional<Made> known = known(what);
      if (known.isPresent()) {
        return known.get();
      }
      double seconds = quantize(packed, method, scheme, size);
      try (Model model = Model.load(packed, Device.cpu(), ModelOptions.DEFAULT)) {
        String text = Files.readString(size.text);
        double perplexity =
            Perplexity.measure(model, text, size.measured, size.windows, (done, total, value) -> {})
                .perplexity();
        Files.writeString(
            results,
            what + "\t" + perplexity + "\t" + seconds + "\n",
            StandardOpenOption.CREATE,
            StandardOpenOption.APPEND);
        return new Made(what, perplexity, seconds);
      }
    }
  }

  private Optional<Made> known(String what) throws IOException {
    if (Files.exists(results)) {
      for (String line : Files.readAllLines(results, UTF_8)) {
        String[] fields = line.split("\t", -1);
        if (fields[0].equals(what)) {
          return Optional.of(
              new Made(what, Double.parseDouble(fields[1]), Double.parseDouble(fields[2])));
        }
      }
    }
    return Optional.empty();
  }

  /** The seconds of a core, those of earlier runs until their last finished block included. */
  private static double quantize(Path packed, BlockMethod method, String scheme, Size size)
      throws IOException {
    Path spent = packed.resolveSibling(packed.getFileName() + ".seconds");
    double earlier = Files.exists(spent) ? Double.parseDouble(Files.readString(spent)) : 0;
    if (Files.exists(packed)) {
      return earlier;
    }
    double before = CalibratedModel.coreSeconds() - earlier;
    CalibratedQuantizer.quantize(
        new Request(
            TestModels.books8m(), packed, QuantScheme.parse(scheme), Existing.KEEP, THREADS),
        method,
        new Calibration(
            TestModels.resource("text/calibration.txt"),
            size.samples,
            size.context,
            size.seed,
            Interrupted.RESUME),
        new CalibratedQuantizer.Listener() {
          @Override
          public void step(int block, int blocks, long done, long total, double loss) {}

          @Override
          public void blockDone(int block, int blocks, double loss) {
            write(spent, CalibratedModel.coreSeconds() - before);
          }

          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {}

          @Override
          public void quantized(LinearError linear) {}
        });
    return CalibratedModel.coreSeconds() - before;
  }

  private static void write(Path file, double seconds) {
    try {
      Files.writeString(file, Double.toString(seconds));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
