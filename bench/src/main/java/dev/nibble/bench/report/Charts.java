package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.XYChart;

/** The charts of a device; those there are no figures for are left out. */
final class Charts {
  /** Most figures are of this point, or vary one thing of it. */
  static final String BASE_MODEL = "llama-2-7b";

  static final String BASE_SCHEME = "W4A16g128";
  static final String BASE_DEPTH = "512";
  private static final String LONG_CONTEXT = "8192";

  private Charts() {}

  static List<Chart> of(Figures figures) {
    List<Chart> charts = new ArrayList<>();
    roofline(figures).ifPresent(charts::add);
    speedByScheme(figures).ifPresent(charts::add);
    latencyByBatch(figures).ifPresent(charts::add);
    memoryByScheme(figures).ifPresent(charts::add);
    driverCalls(figures).ifPresent(charts::add);
    launches(figures).ifPresent(charts::add);
    return charts;
  }

  /** Speed of each kernel over what it computes for each byte it must move. */
  private static Optional<Chart> roofline(Figures figures) {
    List<Measurement> kernels =
        figures.all().stream()
            .filter(m -> m.kind() == Kind.KERNEL && m.origin() == Origin.MEASURED)
            .filter(m -> m.work().bytes() > 0 && m.work().operations() > 0)
            .filter(m -> m.value().median() > 0)
            .toList();
    double read = figures.ceiling(Ceilings.READ).orElse(0);
    if (kernels.isEmpty() || read == 0) {
      return Optional.empty();
    }
    XYChart chart =
        Chart.plane(
            "Roofline, " + figures.device(), "operations for each byte moved", "TFLOP/s or TOP/s");
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setYAxisLogarithmic(true);
    double most = kernels.stream().mapToDouble(Charts::intensity).max().orElseThrow();
    roof(figures, chart, Ceilings.FP16, read, most);
    roof(figures, chart, Ceilings.INT8, read, most);
    if (figures.ceiling(Ceilings.FP16).isEmpty()) {
      double[] ends = {0.5, most};
      Chart.line(chart, "memory", ends, new double[] {read * 0.5 / 1e3, read * most / 1e3});
    }
    Map<String, List<Measurement>> groups = new TreeMap<>();
    for (Measurement kernel : kernels) {
      String scheme = kernel.parameter("scheme");
      String weights = scheme.isEmpty() ? kernel.parameter("bits") : scheme.replaceAll("g.*", "");
      groups.computeIfAbsent(kernel.name() + " " + weights, _ -> new ArrayList<>()).add(kernel);
    }
    groups.forEach((name, members) ->
        Chart.points(
            chart,
            name,
            members.stream().mapToDouble(Charts::intensity).toArray(),
            members.stream().mapToDouble(Charts::teraOperations).toArray()));
    return Optional.of(
        Chart.of(
            "roofline",
            "Each kernel's speed (medians); what lies on a line is as fast as the device allows.",
            chart));
  }

  private static void roof(Figures figures, XYChart chart, String units, double read, double most) {
    figures
        .ceiling(units)
        .ifPresent(peak -> {
          double ridge = peak * 1e3 / read;
          double[] x = {0.5, ridge, Math.max(most, 2 * ridge)};
          double[] y = {read * 0.5 / 1e3, peak, peak};
          Chart.line(chart, units + " ceiling", x, y);
        });
  }

  private static double intensity(Measurement kernel) {
    return (double) kernel.work().operations() / kernel.work().bytes();
  }

  private static double teraOperations(Measurement kernel) {
    return kernel.work().operations() / Figures.microseconds(kernel) / 1e6;
  }

  /** Decode speed beside what reading the weights and the cache would allow. */
  private static Optional<Chart> speedByScheme(Figures figures) {
    List<Measurement> decodes =
        figures.find(Kind.MODEL, "decode", m -> m.parameter("batch").equals("1"));
    String model =
        decodes.stream().anyMatch(m -> m.parameter("model").equals(BASE_MODEL))
            ? BASE_MODEL
            : decodes.stream().map(m -> m.parameter("model")).findFirst().orElse("");
    String depth = decodes.stream().anyMatch(m -> isAt(m, model, BASE_DEPTH)) ? BASE_DEPTH : "0";
    Map<String, Measurement> byScheme = new TreeMap<>();
    decodes.stream()
        .filter(m -> isAt(m, model, depth))
        .forEach(m -> byScheme.put(m.parameter("scheme"), m));
    if (byScheme.size() < 2) {
      return Optional.empty();
    }
    CategoryChart chart =
        Chart.bars("Decode, " + model + ", " + figures.device(), "scheme", "tokens/s, batch 1");
    List<String> schemes = List.copyOf(byScheme.keySet());
    chart.addSeries(
        "measured",
        schemes,
        byScheme.values().stream().map(m -> rounded(m.value().median())).toList());
    double read = figures.ceiling(Ceilings.READ).orElse(0);
    if (read > 0 && byScheme.values().stream().allMatch(m -> m.work().bytes() > 0)) {
      chart.addSeries(
          "read at the measured bandwidth",
          schemes,
          byScheme.values().stream().map(m -> rounded(read * 1e9 / m.work().bytes())).toList());
    }
    return Optional.of(
        Chart.of(
            "speed-by-scheme",
            "Decode with "
                + depth
                + " tokens in the cache, median, beside the floor: the bytes of a"
                + " token at the measured read bandwidth.",
            chart));
  }

  private static boolean isAt(Measurement m, String model, String depth) {
    return m.parameter("model").equals(model) && m.parameter("depth").equals(depth);
  }

  /** Time of a decode step over the number of sequences. */
  private static Optional<Chart> latencyByBatch(Figures figures) {
    Map<String, List<Measurement>> models = new TreeMap<>();
    figures.find(Kind.MODEL, "decode").stream()
        .filter(m -> m.parameter("scheme").equals(BASE_SCHEME))
        .filter(m -> m.parameter("depth").equals(BASE_DEPTH))
        .forEach(m -> models.computeIfAbsent(m.parameter("model"), _ -> new ArrayList<>()).add(m));
    models.values().removeIf(points -> points.size() < 2);
    if (models.isEmpty()) {
      return Optional.empty();
    }
    XYChart chart =
        Chart.plane(
            "Decode step, " + BASE_SCHEME + ", " + figures.device(), "sequences", "milliseconds");
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setYAxisLogarithmic(true);
    models.forEach((model, points) -> {
      List<Measurement> sorted =
          points.stream().sorted(Comparator.comparingInt(Charts::batch)).toList();
      chart.addSeries(
          model,
          sorted.stream().mapToDouble(Charts::batch).toArray(),
          sorted.stream().mapToDouble(m -> 1e3 * batch(m) / m.value().median()).toArray());
    });
    return Optional.of(
        Chart.of(
            "latency-by-batch",
            "Time of one step for all sequences, " + BASE_DEPTH + " tokens in each cache.",
            chart));
  }

  private static int batch(Measurement m) {
    return Integer.parseInt(m.parameter("batch"));
  }

  /** Weights and cache of each scheme over the number of sequences. */
  private static Optional<Chart> memoryByScheme(Figures figures) {
    List<Measurement> plans =
        figures.find(
            Kind.MEMORY,
            "weights_and_cache",
            m ->
                m.parameter("model").equals(BASE_MODEL)
                    && m.parameter("context").equals(LONG_CONTEXT));
    if (plans.isEmpty()) {
      return Optional.empty();
    }
    TreeSet<Integer> batches = new TreeSet<>();
    Map<String, Map<Integer, Double>> schemes = new LinkedHashMap<>();
    for (Measurement plan : plans) {
      batches.add(batch(plan));
      schemes
          .computeIfAbsent(plan.parameter("scheme"), _ -> new TreeMap<>())
          .put(batch(plan), rounded(plan.value().median() / (1L << 30)));
    }
    schemes.values().removeIf(sizes -> sizes.size() < batches.size());
    if (schemes.isEmpty() || batches.size() < 2) {
      return Optional.empty();
    }
    CategoryChart chart =
        Chart.bars(
            "Weights and cache, " + BASE_MODEL + ", context " + LONG_CONTEXT, "sequences", "GiB");
    chart.getStyler().setYAxisLogarithmic(true);
    chart.getStyler().setYAxisMin(1.0);
    schemes.forEach((scheme, sizes) ->
        chart.addSeries(
            scheme,
            batches.stream().map(String::valueOf).toList(),
            batches.stream().map(b -> sizes.getOrDefault(b, 1.0)).toList()));
    return Optional.of(
        Chart.of(
            "memory-by-scheme",
            plans.getFirst().origin() == Origin.COMPUTED
                ? "Computed from the runtime's own plan of device memory."
                : "What came into use on the GPU when the engine was made.",
            chart));
  }

  /** Calls that do next to nothing, three ways. */
  private static Optional<Chart> driverCalls(Figures figures) {
    return calls(
        figures,
        "ffm-against-jni",
        "Calls of the CUDA driver",
        Map.of(
            "cuDriverGetVersion", "DriverCalls.version", "cuDeviceGetUuid", "DriverCalls.struct"));
  }

  /** Work for the GPU, two ways. */
  private static Optional<Chart> launches(Figures figures) {
    return calls(
        figures,
        "launches",
        "Giving the GPU work, back to back",
        Map.of(
            "a kernel", "Launches.launch",
            "a graph of 32", "Launches.graph",
            "a copy of 4 KiB", "Launches.copy"));
  }

  /** Bars of the calls that were measured every way. */
  private static Optional<Chart> calls(
      Figures figures, String file, String title, Map<String, String> benchmarks) {
    Map<String, Map<String, Double>> ways = new LinkedHashMap<>();
    new TreeMap<>(benchmarks).forEach((call, name) -> put(figures, ways, call, name));
    List<String> calls =
        benchmarks.keySet().stream()
            .sorted()
            .filter(call -> ways.values().stream().allMatch(way -> way.containsKey(call)))
            .toList();
    if (ways.isEmpty() || calls.isEmpty()) {
      return Optional.empty();
    }
    CategoryChart chart =
        Chart.bars(title + ", " + figures.device(), "call from Java", "nanoseconds");
    ways.forEach((way, times) ->
        chart.addSeries(
            way, calls, calls.stream().map(call -> times.getOrDefault(call, 0.0)).toList()));
    return Optional.of(
        Chart.of(
            file,
            "The same calls through FFM and through JCuda's JNI, medians of JMH iterations.",
            chart));
  }

  private static void put(
      Figures figures, Map<String, Map<String, Double>> ways, String call, String name) {
    Map<String, String> methods = new LinkedHashMap<>();
    methods.put("Plain", "FFM");
    methods.put("Ffm", "FFM");
    methods.put("Critical", "FFM, critical");
    methods.put("Jni", "JNI (JCuda)");
    methods.forEach((ending, way) ->
        figures
            .find(Kind.CALL, name + ending)
            .forEach(m ->
                ways.computeIfAbsent(way, _ -> new LinkedHashMap<>())
                    .put(call, rounded(1e3 * Figures.microseconds(m)))));
  }

  /** Three digits, for labels. */
  private static double rounded(double value) {
    return new java.math.BigDecimal(value).round(new java.math.MathContext(3)).doubleValue();
  }
}
