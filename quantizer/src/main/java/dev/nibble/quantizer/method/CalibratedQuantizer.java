package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockCalibration;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.CalibrationWindows;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;

/**
 * Turns a checkpoint folder into a packed one by a method that calibrates on text, block by block.
 * The destination appears whole or not at all; what is done so far lies in {@code
 * DESTINATION.resume}, and a run that goes on from there writes the same bytes.
 */
public final class CalibratedQuantizer {
  private CalibratedQuantizer() {}

  /** What to do with what an interrupted run left. */
  public enum Interrupted {
    /** Forget it. */
    DISCARD,
    /** Go on from the last finished block. */
    RESUME
  }

  /**
   * The text to calibrate on.
   *
   * @param text a UTF-8 file
   * @param samples windows of it
   * @param context tokens of a window
   * @param seed for the method's random choices
   * @param interrupted what to do with what an interrupted run left
   */
  public record Calibration(
      Path text, int samples, int context, long seed, Interrupted interrupted) {}

  /** Hears of the progress. Called by the thread that quantizes; must not throw. */
  public interface Listener extends FolderQuantizer.Listener {
    /**
     * Some more of a block is done.
     *
     * @param block index of the block
     * @param blocks how many there are
     * @param done steps done in it
     * @param total steps of it
     * @param loss the method's own measure, or NaN
     */
    void step(int block, int blocks, long done, long total, double loss);

    /**
     * A block is done, now or by the run that was interrupted.
     *
     * @param block index of the block
     * @param blocks how many there are
     * @param loss mean squared error of its output against the full-precision model's
     */
    void blockDone(int block, int blocks, double loss);

    /**
     * All blocks are done.
     *
     * @param operations floating point operations of the products that this run computed
     * @param seconds that its blocks took
     */
    default void calibrated(long operations, double seconds) {}
  }

  /**
   * Quantizes a folder.
   *
   * @param request what to do
   * @param method how codes are chosen
   * @param calibration on what
   * @param listener hears of the progress
   * @return what was made
   * @throws FolderExistsException if the destination holds files that are to be kept, or that are
   *     not a model
   * @throws FolderBusyException if another run is making the same destination
   * @throws IllegalArgumentException if the method cannot do the scheme, the context is longer than
   *     the model's, the interrupted run had other settings, or source and destination overlap
   * @throws dev.nibble.quantizer.format.ModelFormatException if the source is not an unquantized
   *     checkpoint, a number in it is not finite, or the text is too short, empty or not UTF-8
   * @throws java.nio.file.NoSuchFileException if there is no source or no text
   * @throws IOException if reading or writing fails; the destination is then as it was
   */
  public static Summary quantize(
      Request request, BlockMethod method, Calibration calibration, Listener listener)
      throws IOException {
    try (Checkpoint source = Checkpoint.open(request.source())) {
      FolderQuantizer.requireApart(request);
      QuantizationPlan.of(source, request.scheme());
      CalibrationWindows windows =
          CalibrationWindows.read(
              calibration.text(),
              TokenizerFiles.open(request.source()),
              calibration.samples(),
              calibration.context());
      BlockMethod checked = new CheckedMethod(method, request.source());
      BlockCalibration work =
          new BlockCalibration(source, request.scheme(), windows, checked, calibration.seed());
      try (DestinationFolder destination =
          DestinationFolder.open(request.destination(), request.existing())) {
        SequencedMap<String, String> settings = settings(method, calibration);
        Job job =
            new Job(
                request,
                method,
                calibration,
                windows,
                settings,
                fingerprint(source, request, method, settings, windows),
                destination,
                listener);
        if (!(method instanceof RotatedMethod)) {
          return job.run(source, work);
        }
        Path rotated = destination.rotated();
        DestinationFolder.delete(rotated);
        Files.createDirectory(rotated);
        source.reading(() -> {
          RotatedFolder.write(source, rotated, calibration.seed(), request.threads());
          return rotated;
        });
        try (Checkpoint copy = Checkpoint.open(rotated)) {
          return job.run(
              copy,
              new BlockCalibration(copy, request.scheme(), windows, checked, calibration.seed()));
        }
      }
    }
  }

  /** All that is known before the blocks are worked on. */
  private record Job(
      Request request,
      BlockMethod method,
      Calibration calibration,
      CalibrationWindows windows,
      SequencedMap<String, String> settings,
      List<String> fingerprint,
      DestinationFolder destination,
      Listener listener) {
    Summary run(Checkpoint source, BlockCalibration work) throws IOException {
      QuantizationPlan plan = QuantizationPlan.of(source, request.scheme());
      int layers = source.config().layers();
      List<LinearError> errors = new ArrayList<>();
      ResumeFolder journal =
          journal(
              destination.resume(),
              fingerprint,
              layers,
              calibration.interrupted(),
              (block, loss, of) -> {
                errors.addAll(of);
                listener.blockDone(block, layers, loss);
              });
      Summary summary =
          source.reading(() -> {
            long start = System.nanoTime();
            long operations =
                work.run(
                    request.threads(),
                    journal,
                    (block, done, total, loss) -> listener.step(block, layers, done, total, loss));
            listener.calibrated(operations, (System.nanoTime() - start) / 1e9);
            QuantizationPlan calibrated = CalibratedPlan.of(plan, source, journal);
            return FolderQuantizer.write(
                source,
                calibrated,
                new QuantizationConfig(
                    QuantizationConfig.FORMAT_VERSION,
                    request.scheme(),
                    method.name(),
                    settings,
                    Optional.of(windows.sha256()),
                    calibrated.bitsPerWeight(source),
                    plan.keptModules()),
                destination.partial(),
                request.threads(),
                listener,
                FolderQuantizer.MAX_SHARD_BYTES);
          });
      destination.commit();
      DestinationFolder.delete(destination.resume());
      errors.addAll(summary.linears());
      return new Summary(
          errors, summary.bitsPerWeight(), summary.sourceBytes(), summary.packedBytes());
    }
  }

  private static ResumeFolder journal(
      Path folder,
      List<String> fingerprint,
      int layers,
      Interrupted interrupted,
      ResumeFolder.BlockListener listener)
      throws IOException {
    return switch (interrupted) {
      case DISCARD -> ResumeFolder.create(folder, fingerprint, layers, listener);
      case RESUME -> ResumeFolder.open(folder, fingerprint, layers, listener);
    };
  }

  private static SequencedMap<String, String> settings(
      BlockMethod method, Calibration calibration) {
    SequencedMap<String, String> settings = new LinkedHashMap<>(method.settings());
    settings.put("samples", Integer.toString(calibration.samples()));
    settings.put("context", Integer.toString(calibration.context()));
    settings.put("seed", Long.toString(calibration.seed()));
    return settings;
  }

  /** Everything the result depends on; the source by the size and time of its files. */
  private static List<String> fingerprint(
      Checkpoint source,
      Request request,
      BlockMethod method,
      Map<String, String> settings,
      CalibrationWindows windows)
      throws IOException {
    List<String> lines = new ArrayList<>();
    lines.add("format " + QuantizationConfig.FORMAT_VERSION);
    lines.add("scheme " + request.scheme());
    lines.add("method " + method.name());
    settings.forEach((name, value) -> lines.add(name + " " + value));
    lines.add("calibration text " + windows.sha256());
    Set<Path> files = new TreeSet<>();
    for (String name : source.names()) {
      files.add(source.file(name));
    }
    for (Path file : files) {
      lines.add(
          file.getFileName() + " " + Files.size(file) + " " + Files.getLastModifiedTime(file));
    }
    return lines;
  }
}
