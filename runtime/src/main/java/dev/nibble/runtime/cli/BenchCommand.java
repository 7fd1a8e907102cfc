package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code nibble bench}: tokens a second of prefill and decode, in llama-bench's columns. */
@Command(
    name = "bench",
    description = "Measure prefill (pp) and decode (tg) speed.",
    sortOptions = false)
final class BenchCommand implements Callable<Integer> {
  private static final QuantScheme DEFAULT_SCHEME = QuantScheme.parse("W4A16g128");

  private final Host host;

  @Mixin private ModelSelection selection = new ModelSelection();

  @Option(
      names = "--synthetic",
      paramLabel = "NAME",
      description = "Measure random weights of a named shape, such as llama-2-7b.")
  private @Nullable String synthetic;

  @Option(
      names = "--scheme",
      paramLabel = "SCHEME",
      description = "Scheme of the synthetic weights. Default: W4A16g128.")
  private @Nullable QuantScheme scheme;

  @Option(
      names = "-p",
      paramLabel = "N",
      split = ",",
      description = "Prompt tokens to measure prefill with; 0 for none. Default: 512.")
  private List<Integer> prompts = List.of(512);

  @Option(
      names = "-n",
      paramLabel = "N",
      split = ",",
      description = "Tokens to measure decode with; 0 for none. Default: 128.")
  private List<Integer> generations = List.of(128);

  @Option(
      names = "-d",
      paramLabel = "N",
      split = ",",
      description = "Tokens in the cache beforehand. Default: 0.")
  private List<Integer> depths = List.of(0);

  @Option(
      names = "-b",
      paramLabel = "N",
      split = ",",
      description = "Sequences at a time. Default: 1.")
  private List<Integer> batches = List.of(1);

  @Option(
      names = "-r",
      paramLabel = "N",
      defaultValue = "5",
      description = "Repetitions. Default: ${DEFAULT-VALUE}.")
  private int repetitions;

  @Option(
      names = "--warm-up",
      paramLabel = "S",
      defaultValue = "5",
      description =
          "Seconds to run each test beforehand, while its code is compiled. Default: ${DEFAULT-VALUE}.")
  private int warmUp;

  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "0",
      description = "CPU threads. Default: one a core.")
  private int threads;

  @Option(
      names = "-o",
      paramLabel = "md|json|csv",
      defaultValue = "md",
      description = "Form of the table. Default: ${DEFAULT-VALUE}.")
  private BenchTable.Form form = BenchTable.Form.MD;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  BenchCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    List<BenchTest> tests = tests();
    int context = tests.stream().mapToInt(BenchTest::context).max().orElseThrow();
    int sequences = tests.stream().mapToInt(BenchTest::batch).max().orElseThrow();
    ModelOptions options = new ModelOptions(context, sequences, threads);
    Loading loading = loading(options);
    BenchSubject subject = loading.subject;
    try (DeviceMemoryWatch watch = DeviceMemoryWatch.of(selection.device());
        Engine engine = loading.engine.get()) {
      List<BenchResult> results = measure(engine, tests, watch);
      int used = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
      print(
          new BenchTable(
              subject,
              engine.device(),
              used,
              engine.memory(),
              PeakMemory.bytes(),
              watch.most(engine.device()),
              watch.last(engine.device()),
              results));
    }
    return ExitCode.OK.number();
  }

  private List<BenchTest> tests() {
    if (repetitions < 1) {
      throw new IllegalArgumentException("-r " + repetitions + ": expected 1 or more");
    }
    if (warmUp < 0) {
      throw new IllegalArgumentException("--warm-up " + warmUp + ": expected 0 or more");
    }
    List<BenchTest> tests = new ArrayList<>();
    for (int batch : atLeast("-b", 1, batches)) {
      for (int depth : atLeast("-d", 0, depths)) {
        for (int prompt : atLeast("-p", 0, prompts)) {
          tests.add(new BenchTest(prompt, 0, depth, batch));
        }
        for (int generated : atLeast("-n", 0, generations)) {
          tests.add(new BenchTest(0, generated, depth, batch));
        }
      }
    }
    tests.removeIf(test -> test.tokens() == 0);
    if (tests.isEmpty()) {
      throw new IllegalArgumentException("-p 0 -n 0: nothing to measure");
    }
    return tests;
  }

  private static List<Integer> atLeast(String option, int least, List<Integer> values) {
    for (int value : values) {
      if (value < least) {
        throw new IllegalArgumentException(
            option + " " + value + ": expected " + least + " or more");
      }
    }
    return values;
  }

  /** What is measured, and how it is loaded. */
  private record Loading(BenchSubject subject, Supplier<Engine> engine) {}

  private Loading loading(ModelOptions options) throws IOException {
    Device device = selection.device();
    String shape = synthetic;
    if (shape != null) {
      if (selection.folder().isPresent()) {
        throw new IllegalArgumentException("--synthetic and --model exclude each other");
      }
      QuantScheme packed = scheme == null ? DEFAULT_SCHEME : scheme;
      BenchSubject subject = BenchSubject.of(name(), ModelWeights.syntheticSizes(shape, packed));
      return new Loading(subject, () -> Engine.synthetic(shape, packed, device, options));
    }
    if (scheme != null) {
      throw new IllegalArgumentException("--scheme needs --synthetic: a model has its own");
    }
    ModelWeights weights = selection.open(host, folder -> ModelWeights.of(Checkpoint.open(folder)));
    return new Loading(
        BenchSubject.of(name(), weights), () -> Engine.create(weights, device, options));
  }

  private String name() {
    return synthetic != null
        ? synthetic
        : selection
            .folder()
            .map(folder -> folder.toAbsolutePath().normalize().getFileName().toString())
            .orElse(DefaultModel.NAME);
  }

  private List<BenchResult> measure(Engine engine, List<BenchTest> tests, DeviceMemoryWatch watch) {
    List<BenchResult> results = new ArrayList<>();
    try (ProgressLine progress = new ProgressLine(host)) {
      for (BenchTest test : tests) {
        results.add(test.run(engine, TimeUnit.SECONDS.toNanos(warmUp), repetitions));
        watch.look();
        progress.at(results.size(), tests.size(), test.name());
      }
    }
    return results;
  }

  private void print(BenchTable table) throws IOException {
    if (json) {
      host.results().json(Map.of("results", table.records()));
      return;
    }
    switch (form) {
      case MD -> {
        host.results().text(table.markdown());
        host.messages().print(table.notes());
      }
      case CSV -> host.results().text(table.csv());
      case JSON -> host.results().json(table.records());
    }
  }
}
