package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.FolderQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import dev.nibble.runtime.model.Device;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code nibble quantize}: packs a checkpoint. */
@Command(name = "quantize", description = "Quantize a checkpoint.", sortOptions = false)
@SuppressWarnings("NullAway.Init") // picocli sets what is required
final class QuantizeCommand implements Callable<Integer> {
  private static final String RTN = "rtn";
  private static final Set<String> PLANNED =
      Set.of("gptq", "awq", "smoothquant", "omniquant", "rptq");

  private final Host host;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "SRC",
      required = true,
      description = "Folder of an unquantized Hugging Face checkpoint.")
  private Path source;

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
      description = "How codes are chosen. There is: rtn, round to nearest. Default: rtn.")
  private String method;

  @Option(names = "--overwrite", description = "Replace a folder that holds files.")
  private boolean overwrite;

  @Option(names = "--resume", description = "Go on with an interrupted run; rtn does not need it.")
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

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  QuantizeCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    check();
    FolderQuantizer.Request request =
        new FolderQuantizer.Request(
            source,
            destination,
            scheme,
            overwrite ? Existing.REPLACE : Existing.KEEP,
            threads == 0 ? Runtime.getRuntime().availableProcessors() : threads);
    Summary summary;
    try (ProgressLine progress = new ProgressLine(host)) {
      summary = FolderQuantizer.quantize(request, listener(progress));
    }
    report(summary);
    return ExitCode.OK.number();
  }

  private void check() {
    if (PLANNED.contains(method)) {
      throw new IllegalArgumentException(
          "--method " + method + ": not in this version; there is: " + RTN);
    }
    if (!method.equals(RTN)) {
      throw new IllegalArgumentException("--method " + method + ": unknown; there is: " + RTN);
    }
    if (resume) {
      throw new IllegalArgumentException(
          "--resume: method rtn cannot go on with an interrupted run; start it again without");
    }
    if (device instanceof Device.Cuda) {
      throw new IllegalArgumentException("--device " + device + ": method rtn works on the cpu");
    }
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

  private void report(Summary summary) throws IOException {
    if (json) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("folder", destination.toString());
      fields.put("scheme", scheme.toString());
      fields.put("method", method);
      fields.put("bits_per_weight", summary.bitsPerWeight());
      fields.put("source_bytes", summary.sourceBytes());
      fields.put("packed_bytes", summary.packedBytes());
      fields.put(
          "linears",
          summary.linears().stream()
              .map(l -> Map.of("name", l.name(), "relative_error", l.relativeError()))
              .toList());
      host.results().json(fields);
      return;
    }
    StringBuilder text = new StringBuilder();
    List<LinearError> linears = summary.linears();
    for (LinearError linear : linears) {
      text.append(
          String.format(Locale.ROOT, "%-48s error %.5f%n", linear.name(), linear.relativeError()));
    }
    text.append(
        String.format(
            Locale.ROOT,
            "%s: %s by %s, %.4f bits a weight, mean error %.5f, %s -> %s%n",
            destination,
            scheme,
            method,
            summary.bitsPerWeight(),
            linears.stream().mapToDouble(LinearError::relativeError).average().orElse(0),
            Quantities.bytes(summary.sourceBytes()),
            Quantities.bytes(summary.packedBytes())));
    host.results().text(text.toString());
  }
}
