package dev.nibble.bench.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What other programs print: llama-bench's {@code -o json}, {@code -o jsonl}, {@code -o csv} and
 * {@code -o md}, and {@code bench/peers/torch_gemm.py}. The third and the fourth have means alone,
 * so these are figures of one sample.
 */
public final class PeerOutput {
  /** llama-bench's name of a mean. */
  static final String MEAN_SPEED = "avg_ts";

  private static final JsonMapper JSON = new JsonMapper();
  private static final String SPEEDS = "samples_ts";
  private static final String TIMES = "samples_us";

  private final String name;
  private final Told told;

  private PeerOutput(String name, Told told) {
    this.name = name;
    this.told = told;
  }

  /**
   * What a file may not tell; what it does counts. Empty where nobody knows.
   *
   * @param model our name of llama-bench's model
   * @param driver release of the GPU's
   * @param device that was measured
   * @param time when, as {@code 2026-11-22T17:33:12Z}
   */
  public record Told(String model, String driver, String device, String time) {}

  /**
   * Reads any of the forms.
   *
   * @param name of the file, for errors
   * @param text its contents
   * @param told what it may not tell
   * @return a measurement for each of its rows
   * @throws IOException if it is something else or damaged; the row and the field, or the line, are
   *     named
   */
  public static List<Measurement> read(String name, String text, Told told) throws IOException {
    PeerOutput output = new PeerOutput(name, told);
    List<Measurement> found = new ArrayList<>();
    for (JsonNode row : rows(name, text)) {
      found.add(output.measurement(row, found.size() + 1));
    }
    if (found.isEmpty()) {
      throw new IOException(name + ": expected llama-bench's or torch_gemm.py's rows, found none");
    }
    return found;
  }

  private static List<JsonNode> rows(String name, String text) throws IOException {
    List<JsonNode> rows = new ArrayList<>();
    String start = text.stripLeading();
    if (!start.startsWith("[") && !start.startsWith("{")) {
      return LlamaBenchTable.isIn(text) ? LlamaBenchTable.rows(name, text) : csv(name, text);
    }
    try (MappingIterator<JsonNode> values = JSON.readerFor(JsonNode.class).readValues(text)) {
      while (values.hasNextValue()) {
        JsonNode value = values.nextValue();
        if (value.isArray()) {
          value.forEach(rows::add);
        } else {
          rows.add(value);
        }
      }
    } catch (JsonProcessingException e) {
      throw new IOException(name + ": damaged JSON: " + e.getOriginalMessage(), e);
    }
    return rows;
  }

  /** A line of names, then lines of values, as many. */
  private static List<JsonNode> csv(String name, String text) throws IOException {
    List<String> lines = text.lines().filter(line -> !line.isBlank()).toList();
    List<JsonNode> rows = new ArrayList<>();
    List<String> names = lines.isEmpty() ? List.of() : fields(lines.getFirst());
    for (int i = 1; i < lines.size(); i++) {
      List<String> values = fields(lines.get(i));
      if (values.size() != names.size()) {
        throw new IOException(
            String.format(
                "%s, line %d: %d values, expected %d", name, i + 1, values.size(), names.size()));
      }
      ObjectNode row = JsonNodeFactory.instance.objectNode();
      for (int f = 0; f < names.size(); f++) {
        row.put(names.get(f), values.get(f));
      }
      rows.add(row);
    }
    return rows;
  }

  /** Fields between commas; a quoted one may hold commas, and quotes written twice. */
  private static List<String> fields(String line) {
    List<String> fields = new ArrayList<>();
    StringBuilder field = new StringBuilder();
    boolean quoted = false;
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      boolean twice = quoted && c == '"' && i + 1 < line.length() && line.charAt(i + 1) == '"';
      if (twice) {
        field.append(c);
        i++;
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        fields.add(field.toString());
        field.setLength(0);
      } else {
        field.append(c);
      }
    }
    fields.add(field.toString());
    return fields;
  }

  private Measurement measurement(JsonNode row, int number) throws IOException {
    if (row.has(TIMES)) {
      return product(row, number);
    }
    if (row.has(SPEEDS) || row.has(MEAN_SPEED)) {
      return llamaBench(row, number);
    }
    throw refusal(number, SPEEDS + " or " + MEAN_SPEED + " (llama-bench) or " + TIMES, row);
  }

  private Measurement llamaBench(JsonNode row, int number) throws IOException {
    if (told.model.isEmpty()) {
      throw new IOException(name + " is llama-bench's: give --model, our name of its shape");
    }
    int prompt = count(row, "n_prompt", 0, number);
    int generated = count(row, "n_gen", 0, number);
    if (prompt > 0 == generated > 0) {
      throw refusal(number, "either n_prompt or n_gen above 0", row);
    }
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("program", "llama.cpp " + text(row, "build_commit", number));
    parameters.put("model", told.model);
    parameters.put("scheme", text(row, "model_type", number));
    parameters.put("tokens", Integer.toString(generated + prompt));
    parameters.put(
        "depth", Integer.toString(row.has("n_depth") ? count(row, "n_depth", 0, number) : 0));
    parameters.put("batch", "1");
    String time = row.path("test_time").asText();
    row.path(LlamaBenchTable.SETTINGS)
        .properties()
        .forEach(setting -> parameters.put(setting.getKey(), setting.getValue().asText()));
    return Measurement.of(
        Kind.MODEL,
        generated > 0 ? "decode" : "prefill",
        parameters,
        "tokens/s",
        row.has(SPEEDS)
            ? samples(row, SPEEDS, number)
            : Spread.of(positive(row.path(MEAN_SPEED), MEAN_SPEED, row, number)),
        Work.NONE,
        Origin.IMPORTED,
        context(row, device(row), "llama-bench", time.isEmpty() ? told.time : time));
  }

  private String device(JsonNode row) throws IOException {
    for (String device :
        List.of(row.path("gpu_info").asText(), row.path("cpu_info").asText(), told.device)) {
      if (!device.isEmpty()) {
        return device;
      }
    }
    throw new IOException(name + " does not tell what was measured: give --device");
  }

  private Measurement product(JsonNode row, int number) throws IOException {
    int rows = count(row, "rows", 1, number);
    int columns = count(row, "columns", 1, number);
    int tokens = count(row, "tokens", 1, number);
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("program", text(row, "program", number));
    parameters.put("scheme", text(row, "scheme", number));
    parameters.put("shape", rows + "x" + columns);
    parameters.put("tokens", Integer.toString(tokens));
    return Measurement.of(
        Kind.KERNEL,
        "gemm.torch",
        parameters,
        "us",
        samples(row, TIMES, number),
        new Work(0, 2L * rows * columns * tokens),
        Origin.IMPORTED,
        context(
            row,
            text(row, "device", number),
            "python3 bench/peers/torch_gemm.py",
            text(row, "time", number)));
  }

  private Context context(JsonNode row, String device, String command, String time) {
    String release = row.path("driver").asText("");
    return new Context(
        new Machine(
            device,
            release.isEmpty() ? told.driver : release,
            row.path("cpu_info").asText(),
            0,
            ""),
        Clocks.UNKNOWN,
        new Run(row.path("build_commit").asText(), command, time, ""));
  }

  private String text(JsonNode row, String field, int number) throws IOException {
    String text = row.path(field).asText("");
    if (text.isEmpty()) {
      throw refusal(number, field, row);
    }
    return text;
  }

  private int count(JsonNode row, String field, int least, int number) throws IOException {
    JsonNode value = row.path(field);
    int count = value.asInt(-1);
    if (count < least) {
      throw refusal(number, field + " of at least " + least, row);
    }
    return count;
  }

  private Spread samples(JsonNode row, String field, int number) throws IOException {
    List<Double> samples = new ArrayList<>();
    for (JsonNode sample : row.path(field)) {
      samples.add(positive(sample, field, row, number));
    }
    if (samples.isEmpty()) {
      throw refusal(number, "numbers in " + field, row);
    }
    return Spread.of(samples.stream().mapToDouble(d -> d).toArray());
  }

  private double positive(JsonNode node, String field, JsonNode row, int number)
      throws IOException {
    double value = node.asDouble(Double.NaN);
    if (!(value > 0) || Double.isInfinite(value)) {
      throw refusal(number, field + " above 0", row);
    }
    return value;
  }

  private IOException refusal(int number, String expected, JsonNode row) {
    return new IOException(name + ", row " + number + ": expected " + expected + ", found " + row);
  }
}
