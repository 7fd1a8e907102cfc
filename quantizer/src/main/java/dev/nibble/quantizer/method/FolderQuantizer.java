package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedFolderWriter;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.method.QuantizationPlan.Copy;
import dev.nibble.quantizer.method.QuantizationPlan.Pack;
import dev.nibble.quantizer.method.QuantizationPlan.Ready;
import dev.nibble.quantizer.method.QuantizationPlan.Step;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Turns a checkpoint folder into a packed one, 64 rows of a linear at a time, so that memory does
 * not grow with the model. The destination appears whole or not at all: the work is done in {@code
 * DESTINATION.partial}, which is renamed at the end. The bytes written depend on the source and the
 * scheme alone.
 */
public final class FolderQuantizer {
  private static final String METHOD = "rtn";
  static final long MAX_SHARD_BYTES = 5_000_000_000L;
  private static final long COPY_BYTES = 16 << 20;

  private final Checkpoint source;
  private final QuantizationPlan plan;
  private final PackedFolderWriter writer;
  private final LinearPacker packer;
  private final Listener listener;
  private final long totalBytes;
  private long doneBytes;

  /** The block that was written last. */
  private List<Tensor> bundle = List.of();

  private @Nullable Path bundleFile;

  private FolderQuantizer(
      Checkpoint source,
      QuantizationPlan plan,
      PackedFolderWriter writer,
      LinearPacker packer,
      Listener listener) {
    this.source = source;
    this.plan = plan;
    this.writer = writer;
    this.packer = packer;
    this.listener = listener;
    totalBytes = plan.steps().stream().mapToLong(Step::sourceBytes).sum();
  }

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
   * @param linears error of each packed linear, in the order of the source's files
   * @param bitsPerWeight what a weight of the packed linears costs, scales and zeros included; 16
   *     or 32 when none is packed
   * @param sourceBytes size of the source's tensors that were read
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
     * @param doneBytes bytes of the source read so far
     * @param totalBytes bytes to read in all
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
    return quantize(request, listener, MAX_SHARD_BYTES);
  }

  static Summary quantize(Request request, Listener listener, long maxShardBytes)
      throws IOException {
    try (Checkpoint source = Checkpoint.open(request.source())) {
      requireApart(request);
      QuantizationPlan plan = QuantizationPlan.of(source, request.scheme());
      try (DestinationFolder destination =
          DestinationFolder.open(request.destination(), request.existing())) {
        QuantizationConfig description =
            new QuantizationConfig(
                QuantizationConfig.FORMAT_VERSION,
                request.scheme(),
                METHOD,
                Map.of(),
                Optional.empty(),
                plan.bitsPerWeight(source),
                plan.keptModules());
        Summary summary =
            source.reading(() ->
                write(
                    source,
                    plan,
                    description,
                    destination.partial(),
                    request.threads(),
                    listener,
                    maxShardBytes));
        destination.commit();
        return summary;
      }
    }
  }

  /** Writes a folder's files as planned. */
  static Summary write(
      Checkpoint source,
      QuantizationPlan plan,
      QuantizationConfig description,
      Path folder,
      int threads,
      Listener listener,
      long maxShardBytes)
      throws IOException {
    try (PackedFolderWriter writer =
            PackedFolderWriter.create(
                folder,
                source,
                description,
                plan.steps().stream().map(Step::results).toList(),
                maxShardBytes);
        LinearPacker packer = new LinearPacker(threads)) {
      Summary made = new FolderQuantizer(source, plan, writer, packer, listener).run();
      writer.finish();
      return made;
    }
  }

  private Summary run() throws IOException {
    List<LinearError> errors = new ArrayList<>();
    for (Step step : plan.steps()) {
      listener.progress(step.source(), doneBytes, totalBytes);
      Tensor tensor = source.find(step.source()).orElseThrow();
      switch (step) {
        case Copy copy -> copy(tensor);
        case Pack pack -> {
          LinearError error = pack(pack, tensor);
          errors.add(error);
          listener.quantized(error);
        }
        case Ready ready -> copyReady(ready);
      }
    }
    long packedBytes = plan.steps().stream().mapToLong(Step::resultBytes).sum();
    return new Summary(errors, plan.bitsPerWeight(source), totalBytes, packedBytes);
  }

  private void copy(Tensor tensor) throws IOException {
    MemorySegment data = tensor.data();
    if (data.byteSize() == 0) {
      writer.write(tensor.name(), data);
    }
    for (long at = 0; at < data.byteSize(); at += COPY_BYTES) {
      MemorySegment piece = data.asSlice(at, Math.min(COPY_BYTES, data.byteSize() - at));
      requireFinite(tensor, at, at + piece.byteSize());
      writer.write(tensor.name(), piece);
      advance(tensor.name(), piece.byteSize());
    }
  }

  private void requireFinite(Tensor tensor, long fromByte, long toByte)
      throws ModelFormatException {
    int bytes = tensor.dtype().bytes();
    long bad = FloatRows.firstNotFinite(tensor, fromByte / bytes, toByte / bytes);
    if (bad >= 0) {
      throw new ModelFormatException(
          source.file(tensor.name()),
          tensor.name(),
          "expected finite numbers, found another at " + bad);
    }
  }

  private void copyReady(Ready step) throws IOException {
    if (!step.bundle().equals(bundleFile)) {
      bundle = TensorBundle.read(step.bundle());
      bundleFile = step.bundle();
    }
    Set<String> wanted =
        step.results().stream().map(TensorInfo::name).collect(Collectors.toUnmodifiableSet());
    for (Tensor tensor : bundle) {
      if (wanted.contains(tensor.name())) {
        writer.write(tensor.name(), tensor.data());
      }
    }
    advance(step.source(), step.sourceBytes());
  }

  private LinearError pack(Pack step, Tensor tensor) throws IOException {
    ModuleName module = step.module();
    long rowBytes = (long) step.layout().columns() * tensor.dtype().bytes();
    LinearPacker.Output output =
        new LinearPacker.Output() {
          @Override
          public void qweight(MemorySegment bytes, int rows) throws IOException {
            writer.write(module.qweight(), bytes);
            advance(tensor.name(), rows * rowBytes);
          }

          @Override
          public void scales(MemorySegment bytes) throws IOException {
            writer.write(module.scales(), bytes);
          }

          @Override
          public void zeros(MemorySegment bytes) throws IOException {
            writer.write(module.zeros(), bytes);
          }
        };
    double error = packer.pack(step, tensor, source.file(tensor.name()), output);
    return new LinearError(module.name(), error);
  }

  private void advance(String tensor, long bytes) {
    doneBytes += bytes;
    listener.progress(tensor, doneBytes, totalBytes);
  }

  /** Refuses a destination that holds the source. */
  static void requireApart(Request request) throws IOException {
    if (!Files.exists(request.destination())) {
      return;
    }
    Path source = request.source().toRealPath();
    Path destination = request.destination().toRealPath();
    if (source.startsWith(destination)) {
      throw new IllegalArgumentException(
          request.destination() + ": expected a destination that does not hold the source");
    }
  }
}
