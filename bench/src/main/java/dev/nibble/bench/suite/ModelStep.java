package dev.nibble.bench.suite;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.StreamSupport;

/**
 * A whole model by {@code nibble bench}, in a process of its own. Prompt, generate, depth and batch
 * may be several numbers with commas between: then one process does every combination.
 *
 * @param device {@code cpu} or {@code cuda}
 * @param model a synthetic shape
 * @param scheme of its weights
 * @param prompt tokens of prefill; 0 for none
 * @param generate tokens of decode; 0 for none
 * @param depth tokens in the cache beforehand
 * @param batch sequences
 * @param repetitions that count
 * @param warmUp seconds beforehand
 * @param threads of the CPU; one a core if 0. Fewer than cores do not wait for one that other work
 *     has taken
 */
record ModelStep(
    String device,
    String model,
    String scheme,
    String prompt,
    String generate,
    String depth,
    String batch,
    int repetitions,
    int warmUp,
    int threads)
    implements Step {
  private static final String PROGRAM = "dev.nibble.runtime.cli.Main";
  private static final int UNAVAILABLE = 69;

  /** Seconds after which Java has compiled what the host does for a step on a GPU. */
  private static final int HOST_WARM_UP = 10;

  @Override
  public String title() {
    return "nibble " + String.join(" ", arguments());
  }

  @Override
  public boolean measuresHost() {
    return !device.startsWith("cuda") || warmUp >= HOST_WARM_UP;
  }

  private List<String> arguments() {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "bench",
                "--device",
                device,
                "--synthetic",
                model,
                "--scheme",
                scheme,
                "-p",
                prompt,
                "-n",
                generate,
                "-d",
                depth,
                "-b",
                batch,
                "-r",
                Integer.toString(repetitions),
                "--warm-up",
                Integer.toString(warmUp)));
    if (threads > 0) {
      arguments.addAll(List.of("--threads", Integer.toString(threads)));
    }
    return arguments;
  }

  @Override
  public List<Measurement> run(Session session) throws IOException, LeftOutException {
    if (device.startsWith("cuda")) {
      session.requireGpu();
    }
    List<String> arguments = arguments();
    arguments.add("--json");
    ChildJvm.Outcome outcome = ChildJvm.run(List.of(), PROGRAM, arguments);
    if (outcome.exitCode() == UNAVAILABLE) {
      throw new LeftOutException(outcome.complaint());
    }
    if (outcome.exitCode() != 0) {
      throw new IOException(title() + ": exit " + outcome.exitCode() + ": " + outcome.complaint());
    }
    List<Measurement> found = new ArrayList<>();
    for (JsonNode result : new JsonMapper().readTree(outcome.output()).path("results")) {
      found.addAll(measurements(session, result));
    }
    return found;
  }

  private List<Measurement> measurements(Session session, JsonNode result) throws LeftOutException {
    boolean decode = result.path("n_gen").asInt() > 0;
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("model", model);
    parameters.put("scheme", scheme);
    parameters.put("tokens", (decode ? result.path("n_gen") : result.path("n_prompt")).asText());
    parameters.put("depth", result.path("n_depth").asText());
    parameters.put("batch", result.path("n_sequences").asText());
    if (threads > 0) {
      parameters.put("threads", Integer.toString(threads));
    }
    String name = decode ? "decode" : "prefill";
    List<Measurement> found = new ArrayList<>();
    // What a step reads at the least: every weight but the embedding, and the cache.
    Work work = decode ? new Work(result.path("read_bytes").asLong(), 0) : Work.NONE;
    found.add(
        measurement(
            session,
            result,
            Kind.MODEL,
            name,
            parameters,
            "tokens/s",
            Spread.of(samples(result, "samples_ts")),
            work));
    // A prefill of one sequence is one call: its time is that to the first token.
    Map<String, String> times = new TreeMap<>();
    if (decode) {
      times.put("decode.p50", "p50_ns");
      times.put("decode.p95", "p95_ns");
      times.put("decode.p99", "p99_ns");
      if (measuresHost()) {
        times.put("decode.host", "host_ns");
      }
    } else {
      times.put("first_token", "p50_ns");
    }
    for (Map.Entry<String, String> time : times.entrySet()) {
      double[] nanos = samples(result, "samples_" + time.getValue());
      if (nanos.length > 0) {
        Spread spread = Spread.of(nanos).times(1e-3);
        found.add(
            measurement(
                session, result, Kind.MODEL, time.getKey(), parameters, "us", spread, Work.NONE));
      }
    }
    // The engine is made for the longest and widest of its tests, and for that alone is this true.
    boolean single = !(prompt + generate + depth + batch).contains(",");
    for (String figure : List.of("rss_bytes", "weight_bytes", "planned_bytes", "device_bytes")) {
      if (single && result.path(figure).asLong() > 0) {
        found.add(
            measurement(
                session,
                result,
                Kind.MEMORY,
                name + "." + figure.replace("_bytes", ""),
                parameters,
                "bytes",
                Spread.of(result.path(figure).asDouble()),
                Work.NONE));
      }
    }
    return found;
  }

  private static double[] samples(JsonNode result, String name) {
    return StreamSupport.stream(result.path(name).spliterator(), false)
        .mapToDouble(JsonNode::asDouble)
        .toArray();
  }

  private Measurement measurement(
      Session session,
      JsonNode result,
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      Spread value,
      Work work)
      throws LeftOutException {
    if (!device.startsWith("cuda")) {
      return session.ofCpu(kind, name, parameters, unit, value, work);
    }
    Clocks clocks =
        new Clocks(
            result.path("core_mhz").asInt(),
            result.path("memory_mhz").asInt(),
            result.path("celsius").asInt());
    return session.ofGpu(kind, name, parameters, unit, value, work, clocks);
  }
}
