package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.QuantScheme;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Turns a checkpoint folder into a packed one, 64 rows of a linear at a time, so that memory does
 * not grow with the model. The destination appears whole or not at all: the work is done in {@code
 * DESTINATION.partial}, which is renamed at the end. The bytes written depend on the source and the
 * scheme alone.
 */
public final class FolderQuantizer {
  private FolderQuantizer() {}

  /** What to do when the destination holds files. */
  public enum Existing {
    /** Leave it and fail. */
    KEEP,
    /** Replace it, once the new folder is complete. */
    REPLACE
  }

  /**
   * What to quantize to what.
   *
   * @param source folder of an unquantized checkpoint
   * @param destination folder to make
   * @param scheme weights, and what the engine is to quantize when it runs the model
   * @param existing what to do with files at the destination
   * @param threads rows are quantized by this many threads, at least 1
   */
  public record Request(
      Path source, Path destination, QuantScheme scheme, Existing existing, int threads) {
    /**
     * Checks the number of threads.
     *
     * @throws IllegalArgumentException if it is below 1
     */
    public Request {
      if (threads < 1) {
        throw new IllegalArgumentException("threads " + threads + ": expected at least 1");
      }
    }
  }

  /**
   * What was made.
   *
   * @param linears error of each packed linear, in the order of the model
   * @param bitsPerWeight what a weight of the packed linears costs, scales and zeros included; 16
   *     or 32 when none is packed
   * @param sourceBytes size of the source's tensors
   * @param packedBytes size of the destination's tensors
   */
  public record Summary(
      List<LinearError> linears, double bitsPerWeight, long sourceBytes, long packedBytes) {
    /** Copies the list. */
    public Summary {
      linears = List.copyOf(linears);
    }
  }

  /**
   * How far a linear moved.
   *
   * @param name the linear, such as {@code model.layers.0.self_attn.q_proj}
   * @param relativeError Frobenius norm of the difference over that of the weights; 0 for weights
   *     that are all 0
   */
  public record LinearError(String name, double relativeError) {}

  /** Hears how far the work is. Called by the thread that quantizes; must not throw. */
  public interface Listener {
    /** Hears nothing. */
    Listener SILENT =
        new Listener() {
          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {}

          @Override
          public void quantized(LinearError linear) {}
        };

    /**
     * Some more of the source is done.
     *
     * @param tensor the tensor at work
     * @param doneBytes bytes of the source's tensors read so far
     * @param totalBytes bytes of all of them
     */
    void progress(String tensor, long doneBytes, long totalBytes);

    /**
     * A linear is packed.
     *
     * @param linear its error
     */
    void quantized(LinearError linear);
  }

  /**
   * Quantizes a folder by rounding to nearest.
   *
   * @param request what to do
   * @param listener hears of the progress
   * @return what was made
   * @throws FolderExistsException if the destination holds files that are to be kept, or that are
   *     not a model
   * @throws FolderBusyException if another run is making the same destination
   * @throws IllegalArgumentException if source and destination are the same folder, or one that is
   *     to be replaced holds the other
   * @throws dev.nibble.quantizer.format.ModelFormatException if the source is not an unquantized
   *     checkpoint, or a weight is not a finite number
   * @throws java.nio.file.NoSuchFileException if there is no source
   * @throws IOException if reading or writing fails; the destination is then as it was
   */
  public static Summary quantize(Request request, Listener listener) throws IOException {
    return later();
  }

  private static Summary later() {
    throw new IllegalStateException("not written yet");
  }
}
