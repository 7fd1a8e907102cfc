package dev.nibble.runtime.cli;

import dev.nibble.runtime.cuda.DeviceReading;
import dev.nibble.runtime.engine.MemoryPlan;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * Results with llama-bench's columns, so that they can stand beside its rows.
 *
 * @param subject what was measured
 * @param backend what it ran on
 * @param threads CPU threads
 * @param memory what the engine planned
 * @param peakBytes most memory of the host that the process held
 * @param deviceBytes most memory of a GPU that came into use, if NVML tells it
 * @param device clocks and temperature at the end, if NVML tells them
 * @param results the measurements
 */
record BenchTable(
    BenchSubject subject,
    String backend,
    int threads,
    MemoryPlan memory,
    long peakBytes,
    OptionalLong deviceBytes,
    Optional<DeviceReading> device,
    List<BenchResult> results) {
  /** Forms of the table. */
  enum Form {
    MD,
    JSON,
    CSV
  }

  /** A table for people, the names of the columns first. */
  String markdown() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "model", "size", "params", "backend", "threads", "test", "t/s", "ms p50 / p95 / p99"));
    for (BenchResult result : results) {
      rows.add(
          List.of(
              subject.title(),
              Quantities.bytes(subject.bytes()),
              Quantities.count(subject.parameters()),
              backend,
              Integer.toString(threads),
              result.test().name(),
              String.format(
                  Locale.ROOT, "%.2f ± %.2f", result.meanSpeed(), result.speedDeviation()),
              String.format(
                  Locale.ROOT,
                  "%.3f / %.3f / %.3f",
                  result.percentileNanos(0.5) / 1e6,
                  result.percentileNanos(0.95) / 1e6,
                  result.percentileNanos(0.99) / 1e6)));
    }
    StringBuilder text = new StringBuilder();
    for (int r = 0; r < rows.size(); r++) {
      for (int c = 0; c < rows.get(r).size(); c++) {
        text.append("| ").append(padded(rows, r, c)).append(' ');
      }
      text.append("|\n");
      if (r == 0) {
        for (int c = 0; c < rows.get(r).size(); c++) {
          text.append("| ").append("-".repeat(width(rows, c) - 1)).append(isLeft(c) ? "- " : ": ");
        }
        text.append("|\n");
      }
    }
    return text.toString();
  }

  /** What the columns do not tell, for people. */
  String notes() {
    return String.format(
        Locale.ROOT,
        "ms: of a prefill, which is the time to the first token, or of a decode step%s.%n"
            + "memory: %s planned on %s%s, %s resident on the host at most.%n",
        results.stream()
            .flatMap(result -> LongStream.of(result.hostNanos()).average().stream().boxed())
            .map(nanos -> String.format(Locale.ROOT, "%.1f us", nanos / 1e3))
            .collect(Collectors.collectingAndThen(Collectors.joining(", "), BenchTable::hostNote)),
        Quantities.bytes(memory.totalBytes()),
        backend,
        deviceBytes.isPresent()
            ? ", " + Quantities.bytes(deviceBytes.getAsLong()) + " in use there at most"
            : "",
        Quantities.bytes(peakBytes));
  }

  private static String hostNote(String times) {
    return times.isEmpty() ? "" : ", of which the host takes " + times;
  }

  private static String padded(List<List<String>> rows, int row, int column) {
    String cell = rows.get(row).get(column);
    String pad = " ".repeat(width(rows, column) - cell.length());
    return isLeft(column) ? cell + pad : pad + cell;
  }

  private static int width(List<List<String>> rows, int column) {
    return rows.stream().mapToInt(row -> row.get(column).length()).max().orElse(0);
  }

  /** Names stand left, numbers and tests right. */
  private static boolean isLeft(int column) {
    return column == 0 || column == 3;
  }

  /** One record a measurement, with llama-bench's field names. */
  List<Map<String, Object>> records() {
    List<Map<String, Object>> records = new ArrayList<>();
    for (BenchResult result : results) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("model_type", subject.title());
      fields.put("model_size", subject.bytes());
      fields.put("model_n_params", subject.parameters());
      fields.put("scheme", subject.scheme().toString());
      fields.put("head_bits", subject.scheme().headBits());
      fields.put("backends", backend);
      fields.put("n_threads", threads);
      fields.put("n_prompt", result.test().promptTokens());
      fields.put("n_gen", result.test().generatedTokens());
      fields.put("n_depth", result.test().depth());
      fields.put("n_sequences", result.test().batch());
      fields.put("avg_ns", Math.round(result.meanNanos()));
      fields.put("stddev_ns", Math.round(result.nanosDeviation()));
      fields.put("avg_ts", result.meanSpeed());
      fields.put("stddev_ts", result.speedDeviation());
      fields.put("p50_ns", result.percentileNanos(0.5));
      fields.put("p95_ns", result.percentileNanos(0.95));
      fields.put("p99_ns", result.percentileNanos(0.99));
      if (result.test().promptTokens() > 0) {
        fields.put("first_token_ns", result.percentileNanos(0.5));
      } else {
        fields.put("read_bytes", readBytes(result.test()));
        LongStream.of(result.hostNanos())
            .average()
            .ifPresent(nanos -> fields.put("host_ns", Math.round(nanos)));
      }
      fields.put("weight_bytes", memory.weightBytes());
      fields.put("planned_bytes", memory.totalBytes());
      fields.put("rss_bytes", peakBytes);
      deviceBytes.ifPresent(bytes -> fields.put("device_bytes", bytes));
      device.ifPresent(reading -> {
        fields.put("core_mhz", reading.multiprocessorMegahertz());
        fields.put("memory_mhz", reading.memoryMegahertz());
        fields.put("celsius", reading.celsius());
      });
      fields.put("samples_ns", result.nanos());
      fields.put("samples_ts", result.speeds());
      fields.put("samples_p50_ns", result.percentilesNanos(0.5));
      fields.put("samples_p95_ns", result.percentilesNanos(0.95));
      fields.put("samples_p99_ns", result.percentilesNanos(0.99));
      if (result.hostNanos().length > 0) {
        fields.put("samples_host_ns", result.hostNanos());
      }
      records.add(fields);
    }
    return records;
  }

  /** What a step in the middle of a test must read: weights, and the caches so far. */
  private long readBytes(BenchTest test) {
    long tokens = test.depth() + test.generatedTokens() / 2L;
    return Math.addExact(
        subject.stepBytes(),
        Math.multiplyExact(
            memory.kvBytesPerToken(), Math.multiplyExact(tokens, (long) test.batch())));
  }

  /** The records without the samples, one a line, values in quotes as llama-bench writes them. */
  String csv() {
    List<Map<String, Object>> records = records();
    for (Map<String, Object> record : records) {
      record.keySet().removeIf(name -> name.startsWith("samples_"));
    }
    LinkedHashSet<String> columns = new LinkedHashSet<>();
    records.forEach(record -> columns.addAll(record.keySet()));
    StringBuilder text = new StringBuilder(String.join(",", columns)).append('\n');
    for (Map<String, Object> record : records) {
      text.append(
              columns.stream()
                  .map(column -> record.getOrDefault(column, ""))
                  .map(value -> '"' + value.toString().replace("\"", "\"\"") + '"')
                  .collect(Collectors.joining(",")))
          .append('\n');
    }
    return text.toString();
  }
}
