package dev.nibble.runtime.cli;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import dev.nibble.quantizer.method.InputRanges;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.generate.Perplexity;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code nibble quantize}: packs a checkpoint. */
@Command(name = "quantize", description = "Quantize a checkpoint.", sortOptions = false)
@SuppressWarnings("NullAway.Init") // picocli sets what is required
final class QuantizeCommand implements Callable<Integer> {
  private static final String RTN = "rtn";
  private static final int DEFAULT_SAMPLES = 128;
  private static final int EVALUATION_CONTEXT = 1024;

  private final Host host;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "SRC",
      description =
          "Folder of an unquantized Hugging Face checkpoint. Default: the model that comes with"
              + " Nibble.")
  private @Nullable Path folder;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DST",
      required = true,
      description = "Folder to make. It appears when it is complete, or not at all.")
  private Path destination;

  @Option(
      names = "--scheme",
      required = true,
      paramLabel = "SCHEME",
      description = "Bits and groups, such as W4A16g128, W3A16g128sym or W4A8KV4.")
  private QuantScheme scheme;

  @Option(
      names = "--method",
      paramLabel = "NAME",
      defaultValue = RTN,
      completionCandidates = CalibratedMethods.class,
      description =
          "How codes are chosen: rtn rounds to nearest; the others calibrate:"
              + " ${COMPLETION-CANDIDATES}. Default: rtn.")
  private String method;

  @Option(
      names = "--calibration",
      paramLabel = "FILE",
      description = "UTF-8 text to calibrate on; every method but rtn needs one.")
  private @Nullable Path calibration;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "Windows of the calibration text. Default: 128.")
  private @Nullable Integer samples;

  @Option(
      names = "--context",
      paramLabel = "N",
      description = "Tokens of a window. Default: the model's context, at most 2048.")
  private @Nullable Integer context;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description = "Passes over the windows, for methods that train.")
  private @Nullable Integer epochs;

  @Option(
      names = "--par-steps",
      paramLabel = "N",
      description =
          "Steps of four windows in each of the 20 rounds of adaptive rounding, for method"
              + " omniquant+par. Default: 32.")
  private @Nullable Integer parSteps;

  @Option(
      names = "--clusters",
      paramLabel = "N",
      description = "Clusters of an input at most, for method rptq. Default: 32.")
  private @Nullable Integer clusters;

  @Option(
      names = "--norm-bits",
      paramLabel = "N",
      description =
          "Least bits of the inputs that norms make, for method rptq; the paper's results have 8."
              + " Default: the scheme's.")
  private @Nullable Integer normBits;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "For a method's random choices. Default: 0.")
  private @Nullable Long seed;

  @Option(names = "--overwrite", description = "Replace a folder that holds files.")
  private boolean overwrite;

  @Option(
      names = "--resume",
      description = "Go on with an interrupted run of the same settings; rtn does not need it.")
  private boolean resume;

  @Option(
      names = "--device",
      paramLabel = "auto|cpu|cuda|cuda:N",
      description = "Where to work. rtn works on the CPU. Default: auto.")
  private Device device = Device.auto();

  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "0",
      description = "CPU threads. Default: one a core.")
  private int threads;

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "UTF-8 text to measure the perplexity on, before and after.")
  private @Nullable Path text;

  @Option(
      names = "--report",
      paramLabel = "BASE",
      description = "Write BASE.txt, BASE.json and BASE.html. Default: DST.report.")
  private @Nullable Path report;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  /** For the help text. */
  static final class CalibratedMethods implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return MethodCatalog.names().iterator();
    }
  }

  private Path source;

  QuantizeCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    check();
    source = folder == null ? new DefaultModel(host).source() : folder;
    // What cannot be loaded is not worth packing: the copied tensors count too.
    ModelWeights.of(Checkpoint.open(source)).close();
    checkTokenizer();
    checkReport();
    FolderQuantizer.Request request =
        new FolderQuantizer.Request(
            source,
            destination,
            scheme,
            overwrite ? Existing.REPLACE : Existing.KEEP,
            threads == 0 ? Runtime.getRuntime().availableProcessors() : threads);
    long start = System.nanoTime();
    Summary summary;
    CalibrationLog log = new CalibrationLog(host);
    try (ProgressLine progress = new ProgressLine(host)) {
      summary =
          method.equals(RTN)
              ? FolderQuantizer.quantize(request, listener(progress))
              : calibrate(request, log.listener(progress));
    }
    double seconds = (System.nanoTime() - start) / 1e9;
    long peakHeap = peakHeap();
    QuantizeReport result =
        new QuantizeReport(
            destination,
            scheme.toString(),
            method,
            summary,
            log.blockLosses(),
            log.curves(),
            calibration == null
                ? List.of()
                : InputRanges.measure(source, destination, calibration, request.threads()),
            seconds,
            log.products(),
            peakHeap,
            evaluate());
    result.write(report == null ? Path.of(destination + ".report") : report);
    if (json) {
      host.results().json(result.json());
    } else {
      host.results().text(result.text());
    }
    return ExitCode.OK.number();
  }

  private static long peakHeap() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .mapToLong(pool -> pool.getPeakUsage().getUsed())
        .sum();
  }

  /** Perplexity before and after, where a text is given. */
  private Optional<QuantizeReport.Scores> evaluate() throws IOException {
    if (text == null) {
      return Optional.empty();
    }
    Perplexity before = perplexity(source, text);
    Perplexity after = perplexity(destination, text);
    return Optional.of(
        new QuantizeReport.Scores(
            text, before.tokensScored(), before.perplexity(), after.perplexity()));
  }

  private Perplexity perplexity(Path folder, Path of) throws IOException {
    int window = window(folder);
    try (Model model =
        Model.load(folder, Device.cpu(), ModelOptions.DEFAULT.withContextLength(window))) {
      return Perplexity.measure(
          model, Inputs.read(of), window, Integer.MAX_VALUE, (done, total, value) -> {});
    }
  }

  private void check() {
    if (device instanceof Device.Cuda) {
      throw new IllegalArgumentException("--device " + device + ": quantize works on the cpu");
    }
    if (method.equals(RTN)) {
      refuse("--calibration", calibration);
      refuse("--samples", samples);
      refuse("--context", context);
      refuse("--epochs", epochs);
      refuse("--par-steps", parSteps);
      refuse("--clusters", clusters);
      refuse("--norm-bits", normBits);
      refuse("--seed", seed);
      if (resume) {
        throw new IllegalArgumentException(
            "--resume: method rtn cannot go on with an interrupted run; start it again without");
      }
    } else if (!MethodCatalog.names().contains(method)) {
      throw new IllegalArgumentException(
          "--method "
              + method
              + ": unknown; there is: rtn, "
              + String.join(", ", MethodCatalog.names()));
    } else if (calibration == null) {
      throw new IllegalArgumentException("--method " + method + ": needs --calibration FILE");
    }
  }

  /**
   * It is copied: a damaged one would only be found when the model is run. A model may have none.
   */
  private void checkTokenizer() throws IOException {
    try {
      Tokenizer unused = TokenizerFiles.open(source);
    } catch (NoSuchFileException none) {
      return;
    }
  }

  /** What the report needs is looked for first, for a run may take hours. */
  private void checkReport() throws IOException {
    if (text != null) {
      Tokenizer tokenizer = TokenizerFiles.open(source);
      int[] unused = ScoredText.ids(text, Inputs.read(text), tokenizer, window(source));
    }
    if (report != null) {
      Path folder = report.toAbsolutePath().getParent();
      if (folder == null || !Files.isDirectory(folder)) {
        throw new IllegalArgumentException("--report " + report + ": there is no folder " + folder);
      }
    }
  }

  private static int window(Path folder) throws IOException {
    return Math.min(EVALUATION_CONTEXT, ModelConfig.read(folder).maxPositions());
  }

  private static void refuse(String option, @Nullable Object value) {
    if (value != null) {
      throw new IllegalArgumentException(option + ": method rtn does not calibrate");
    }
  }

  private Summary calibrate(FolderQuantizer.Request request, CalibratedQuantizer.Listener listener)
      throws IOException {
    BlockMethod blocks = MethodCatalog.create(method, options());
    return CalibratedQuantizer.quantize(
        request,
        blocks,
        new Calibration(
            Objects.requireNonNull(calibration),
            samples == null ? DEFAULT_SAMPLES : samples,
            context == null ? defaultContext() : context,
            seed == null ? 0 : seed,
            resume ? Interrupted.RESUME : Interrupted.DISCARD),
        listener);
  }

  private MethodCatalog.Options options() {
    return new MethodCatalog.Options(
        optional(epochs), optional(clusters), optional(parSteps), optional(normBits));
  }

  private static OptionalInt optional(@Nullable Integer value) {
    return value == null ? OptionalInt.empty() : OptionalInt.of(value);
  }

  private int defaultContext() throws IOException {
    return Math.min(2048, ModelConfig.read(source).maxPositions());
  }

  private FolderQuantizer.Listener listener(ProgressLine progress) {
    return new FolderQuantizer.Listener() {
      @Override
      public void progress(String tensor, long doneBytes, long totalBytes) {
        progress.at(doneBytes, totalBytes, tensor);
      }

      @Override
      public void quantized(LinearError linear) {}
    };
  }
}
