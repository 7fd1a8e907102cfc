package dev.nibble.bench.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code benchmarks import}: takes the figures of other programs into the results. */
@Command(
    name = "import",
    description = {
      "Take in what another program measured: 'llama-bench -o json', or what",
      "bench/peers/torch_gemm.py writes."
    },
    sortOptions = false)
public final class Import implements Runnable {
  @Parameters(paramLabel = "FILE", description = "The other program's JSON.")
  private Path file = Path.of("");

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "Our name of the shape that llama-bench ran, such as llama-2-7b.")
  private String model = "";

  @Option(
      names = "--driver",
      paramLabel = "RELEASE",
      description = "Release of the GPU's driver, where the file does not tell.")
  private String driver = "";

  @Option(
      names = "--results",
      paramLabel = "FILE",
      required = true,
      description = "Append to this file.")
  private @Nullable Path results;

  /** For the command line. */
  public Import() {}

  @Override
  public void run() {
    if (results == null) {
      throw new IllegalArgumentException("--results is needed");
    }
    try {
      JsonNode root = new JsonMapper().readTree(file.toFile());
      new ResultFile(results).append(measurements(root, file.toString(), model, driver));
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }

  /**
   * Reads either form.
   *
   * @param root the file's JSON
   * @param name of the file, for errors
   * @param model our name of llama-bench's model
   * @param driver of the GPU
   * @return a measurement for each of its rows
   * @throws IOException if it is neither
   */
  static List<Measurement> measurements(JsonNode root, String name, String model, String driver)
      throws IOException {
    List<Measurement> found = new ArrayList<>();
    for (JsonNode row : root) {
      if (row.has("samples_ts")) {
        found.add(llamaBench(row, name, model, driver));
      } else if (row.has("samples_us")) {
        found.add(product(row, driver));
      } else {
        throw new IOException(
            name + ": expected rows with samples_ts (llama-bench) or samples_us, found " + row);
      }
    }
    return found;
  }

  private static Measurement llamaBench(JsonNode row, String name, String model, String driver)
      throws IOException {
    if (model.isEmpty()) {
      throw new IOException(name + " is llama-bench's: give --model, our name of its shape");
    }
    int prompt = row.path("n_prompt").asInt();
    int generated = row.path("n_gen").asInt();
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("program", "llama.cpp " + row.path("build_commit").asText());
    parameters.put("model", model);
    parameters.put("scheme", row.path("model_type").asText());
    parameters.put("tokens", Integer.toString(generated > 0 ? generated : prompt));
    parameters.put("depth", Integer.toString(row.path("n_depth").asInt()));
    parameters.put("batch", "1");
    String gpu = row.path("gpu_info").asText();
    String device = gpu.isEmpty() ? row.path("cpu_info").asText() : gpu;
    return Measurement.of(
        Kind.MODEL,
        generated > 0 ? "decode" : "prefill",
        parameters,
        "tokens/s",
        Spread.of(samples(row.path("samples_ts"))),
        Work.NONE,
        Origin.IMPORTED,
        context(row, device, driver, "llama-bench -o json", row.path("test_time").asText()));
  }

  private static Measurement product(JsonNode row, String driver) {
    int rows = row.path("rows").asInt();
    int columns = row.path("columns").asInt();
    int tokens = row.path("tokens").asInt();
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("program", row.path("program").asText());
    parameters.put("scheme", row.path("scheme").asText());
    parameters.put("shape", rows + "x" + columns);
    parameters.put("tokens", Integer.toString(tokens));
    return Measurement.of(
        Kind.KERNEL,
        "gemm.torch",
        parameters,
        "us",
        Spread.of(samples(row.path("samples_us"))),
        new Work(0, 2L * rows * columns * tokens),
        Origin.IMPORTED,
        context(
            row,
            row.path("device").asText(),
            driver,
            "bench/peers/torch_gemm.py",
            row.path("time").asText()));
  }

  private static Context context(
      JsonNode row, String device, String driver, String command, String time) {
    String release = row.path("driver").asText(driver);
    return new Context(
        new Machine(device, release, row.path("cpu_info").asText(), 0, ""),
        Clocks.UNKNOWN,
        new Run(row.path("build_commit").asText(), command, time, ""));
  }

  private static double[] samples(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false)
        .mapToDouble(JsonNode::asDouble)
        .toArray();
  }
}
