package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Tables of a GPU's figures in a text of Markdown, each between {@code <!-- figures: NAME -->} and
 * {@code <!-- end -->}.
 */
final class ReadmeTables {
  private static final Pattern PLACE =
      Pattern.compile("(?s)(<!-- figures: ([a-z]+) -->\n).*?(<!-- end -->)");
  private static final List<String> SCHEMES =
      List.of("W4A16g128", "W3A16g128", "W2A16g128", "W8A16g128", "W16A16", "W4A8", "W8A8");
  private static final List<String> TOKENS = List.of("1", "16", "64", "2048");
  private static final List<String> KV_BITS = List.of("16", "8", "4", "3");
  private static final double GIGA = 1e9;
  private static final String NOTHING = "Not measured yet.\n";

  /** Schemes that PyTorch multiplies too. */
  private static final List<String> PEERS = List.of("W16A16", "W4A16g128", "W8A8");

  private final Figures gpu;
  private final List<Measurement> all;
  private final List<String> charts;
  private final Optional<String> agreement;

  /**
   * Takes the figures.
   *
   * @param gpu of the device that the tables tell of
   * @param all of every device, the published ones among them
   * @param charts paths of pictures, from the text's folder
   * @param agreement of two runs, as a table
   */
  ReadmeTables(
      Figures gpu, List<Measurement> all, List<String> charts, Optional<String> agreement) {
    this.gpu = gpu;
    this.all = all;
    this.charts = List.copyOf(charts);
    this.agreement = agreement;
  }

  /**
   * Fills the places of a text.
   *
   * @param text with places for tables
   * @return the text with today's tables
   * @throws IllegalArgumentException if a place has a name that no table has
   */
  String fill(String text) {
    Matcher places = PLACE.matcher(text);
    return places.replaceAll(place ->
        Matcher.quoteReplacement(
            place.group(1) + "\n" + table(place.group(2)) + "\n" + place.group(3)));
  }

  private String table(String name) {
    return switch (name) {
      case "ceilings" -> ceilings();
      case "products" -> products();
      case "peers" -> peers();
      case "attention" -> attention();
      case "decode" -> decode();
      case "prefill" -> prefill();
      case "batch" -> batch();
      case "deployment" -> deployment();
      case "memory" -> MemoryTable.markdown(all).orElse(NOTHING);
      case "calls" -> calls();
      case "agreement" -> agreement.orElse(NOTHING);
      case "charts" -> pictures();
      default -> throw new IllegalArgumentException("no table is called '" + name + "'");
    };
  }

  private String ceilings() {
    Rows rows = new Rows("ceiling", "median", "least to most");
    List.of(Ceilings.READ, "copy", "graph_node", Ceilings.FP16, Ceilings.INT8)
        .forEach(name ->
            gpu.find(Kind.CEILING, name)
                .forEach(m ->
                    rows.add(
                        name,
                        number(m.value().median()) + " " + m.unit(),
                        number(m.value().min()) + " to " + number(m.value().max()))));
    return rows.text();
  }

  /** A product of some tokens, of the kernel alone. */
  private Optional<Measurement> product(String shape, String tokens, String scheme, boolean ours) {
    return latest(
        gpu.all(),
        m ->
            m.kind() == Kind.KERNEL
                && m.parameter("shape").equals(shape)
                && m.parameter("tokens").equals(tokens)
                && m.parameter("scheme").equals(scheme)
                && m.parameter("with").isEmpty()
                && (ours
                    ? m.origin() == Origin.MEASURED
                    : m.parameter("program").startsWith("cuBLASLt")));
  }

  private String products() {
    List<String> shapes =
        gpu.all().stream()
            .filter(m -> m.kind() == Kind.KERNEL && m.origin() == Origin.MEASURED)
            .filter(m -> SCHEMES.contains(m.parameter("scheme")))
            .map(m -> m.parameter("shape"))
            .filter(shape -> !shape.isEmpty())
            .distinct()
            .toList();
    List<String> names = new ArrayList<>(List.of("linear", "tokens"));
    names.addAll(SCHEMES);
    names.addAll(List.of("cuBLASLt fp16", "cuBLASLt int8"));
    Rows rows = new Rows(names.toArray(String[]::new));
    for (String shape : shapes) {
      for (String tokens : TOKENS) {
        List<String> cells = new ArrayList<>(List.of(shape, tokens));
        SCHEMES.forEach(s -> cells.add(median(product(shape, tokens, s, true), 1)));
        cells.add(median(product(shape, tokens, "W16A16", false), 1));
        cells.add(median(product(shape, tokens, "W8A8", false), 1));
        if (cells.stream().skip(2).anyMatch(cell -> !cell.isEmpty())) {
          rows.add(cells.toArray(String[]::new));
        }
      }
    }
    return rows.text();
  }

  /** PyTorch's products beside ours, with a ratio where both are of one run or day. */
  private String peers() {
    List<Measurement> theirs =
        gpu.all().stream().filter(m -> m.parameter("program").startsWith("PyTorch")).toList();
    List<String> names = new ArrayList<>(List.of("linear", "tokens"));
    PEERS.forEach(s -> names.addAll(List.of(s, "PyTorch", "ours / its")));
    Rows rows = new Rows(names.toArray(String[]::new));
    for (String shape : theirs.stream().map(m -> m.parameter("shape")).distinct().toList()) {
      for (String tokens : TOKENS) {
        List<String> cells = new ArrayList<>(List.of(shape, tokens));
        for (String scheme : PEERS) {
          Optional<Measurement> own = product(shape, tokens, scheme, true);
          Optional<Measurement> other =
              latest(
                  theirs,
                  m ->
                      m.parameter("shape").equals(shape)
                          && m.parameter("tokens").equals(tokens)
                          && m.parameter("scheme").equals(scheme));
          cells.add(median(own, 1));
          cells.add(median(other, 1));
          cells.add(
              own.isPresent() && other.isPresent()
                  ? Comparison.ratio(own.get(), other.get()).map(ReadmeTables::number).orElse("")
                  : "");
        }
        rows.add(cells.toArray(String[]::new));
      }
    }
    return rows.text();
  }

  private String attention() {
    Map<String, Map<String, Measurement>> found = new LinkedHashMap<>();
    for (String kernel : List.of("attention_decode", "attention_prefill")) {
      for (Measurement m : gpu.find(Kind.KERNEL, kernel)) {
        String what =
            (kernel.endsWith("decode") ? "decode, " : "prompt, ")
                + m.parameter("batch")
                + " x "
                + m.parameter("context")
                + ", "
                + m.parameter("heads")
                + " heads over "
                + m.parameter("kv_heads");
        found.computeIfAbsent(what, _ -> new LinkedHashMap<>()).put(m.parameter("kv_bits"), m);
      }
    }
    Rows rows = new Rows("attention", "KV16", "KV8", "KV4", "KV3");
    found.forEach((what, bits) -> {
      List<String> cells = new ArrayList<>(List.of(what));
      KV_BITS.forEach(b ->
          cells.add(
              Optional.ofNullable(bits.get(b))
                  .map(m -> number(m.value().median()) + " (" + share(m) + ")")
                  .orElse("")));
      rows.add(cells.toArray(String[]::new));
    });
    return rows.text();
  }

  private String share(Measurement m) {
    return gpu.ceilings()
        .share(m)
        .map(s -> String.format(Locale.ROOT, "%.0f %%", 100 * s.of()))
        .orElse("");
  }

  /** One sequence, every scheme and depth. */
  private String decode() {
    Rows rows =
        new Rows("model", "scheme", "depth", "tokens/s", "least to most", "of the read", "p99, us");
    gpu.find(Kind.MODEL, "decode", m -> m.parameter("batch").equals("1")).stream()
        .sorted(
            Comparator.comparing((Measurement m) -> m.parameter("model"))
                .thenComparingInt(m -> Integer.parseInt(m.parameter("depth")))
                .thenComparing(m -> -m.value().median()))
        .forEach(m ->
            rows.add(
                m.parameter("model"),
                m.parameter("scheme"),
                m.parameter("depth"),
                number(m.value().median()),
                number(m.value().min()) + " to " + number(m.value().max()),
                share(m),
                median(
                    latest(
                        gpu.all(),
                        p ->
                            p.name().equals("decode.p99") && p.parameters().equals(m.parameters())),
                    1)));
    return rows.text();
  }

  private String prefill() {
    Rows rows = new Rows("model", "scheme", "tokens", "ms", "tokens/s");
    gpu.find(Kind.MODEL, "prefill", m -> m.parameter("batch").equals("1")).stream()
        .filter(m -> m.parameter("depth").equals("0"))
        .sorted(
            Comparator.comparing((Measurement m) -> m.parameter("model"))
                .thenComparingInt(m -> Integer.parseInt(m.parameter("tokens")))
                .thenComparing(m -> -m.value().median()))
        .forEach(m ->
            rows.add(
                m.parameter("model"),
                m.parameter("scheme"),
                m.parameter("tokens"),
                number(1e3 * Integer.parseInt(m.parameter("tokens")) / m.value().median()),
                number(m.value().median())));
    return rows.text();
  }

  /** Tokens a second in all, over sequences. */
  private String batch() {
    Map<String, TreeMap<Integer, Measurement>> series = new TreeMap<>();
    gpu.find(Kind.MODEL, "decode", m -> m.parameter("depth").equals("512"))
        .forEach(m ->
            series
                .computeIfAbsent(
                    m.parameter("model") + " " + m.parameter("scheme"), _ -> new TreeMap<>())
                .put(Integer.parseInt(m.parameter("batch")), m));
    series.values().removeIf(points -> points.size() < 3);
    List<Integer> sizes =
        series.values().stream().flatMap(p -> p.keySet().stream()).distinct().sorted().toList();
    List<String> names = new ArrayList<>(List.of("sequences"));
    sizes.forEach(size -> names.add(size.toString()));
    Rows rows = new Rows(names.toArray(String[]::new));
    series.forEach((what, points) -> {
      List<String> cells = new ArrayList<>(List.of(what));
      sizes.forEach(size -> cells.add(median(Optional.ofNullable(points.get(size)), 1)));
      rows.add(cells.toArray(String[]::new));
    });
    return rows.text();
  }

  /** Of each figure ours, and the paper's. */
  private String deployment() {
    Rows rows = new Rows("model", "scheme", "weights, GB", "running, GB", "tokens/s");
    for (String model : DeploymentTable.MODELS) {
      for (String scheme : DeploymentTable.SCHEMES) {
        rows.add(
            model,
            scheme,
            both(model, scheme, "decode.weight", "weights", GIGA),
            both(model, scheme, "decode.device", "running", GIGA),
            both(model, scheme, "decode", "decode", 1));
      }
    }
    return rows.text();
  }

  private String both(String model, String scheme, String own, String paper, double unit) {
    Predicate<Measurement> same =
        m -> m.parameter("model").equals(model) && m.parameter("scheme").equals(scheme);
    String ours =
        median(
            latest(
                gpu.all(),
                m ->
                    m.name().equals(own)
                        && m.origin() == Origin.MEASURED
                        && same.test(m)
                        && DeploymentTable.isBase(m)),
            unit);
    String theirs =
        median(
            latest(
                all, m -> m.name().equals(paper) && m.origin() == Origin.PUBLISHED && same.test(m)),
            unit);
    return (ours.isEmpty() ? "-" : ours) + " / " + theirs;
  }

  private String calls() {
    Rows rows = new Rows("call", "FFM", "FFM, critical", "JNI (JCuda 12.6)");
    Map<String, String> names = new LinkedHashMap<>();
    names.put("`cuDriverGetVersion`", "DriverCalls.version");
    names.put("`cuDeviceGetUuid`, which fills a struct", "DriverCalls.struct");
    names.put("a kernel that does nothing, back to back", "Launches.launch");
    names.put("a graph of 32 such kernels", "Launches.graph");
    names.put("a copy of 4 KiB to the GPU", "Launches.copy");
    names.forEach((what, name) ->
        rows.add(what, call(name, "Plain", "Ffm"), call(name, "Critical"), call(name, "Jni")));
    return rows.text();
  }

  private String pictures() {
    StringBuilder text = new StringBuilder();
    for (String chart : charts) {
      String name =
          chart.substring(chart.lastIndexOf('/') + 1).replace(".png", "").replace('-', ' ');
      text.append("![").append(name).append("](").append(chart).append(")\n");
    }
    return text.toString();
  }

  private String call(String name, String... endings) {
    return median(
        latest(
            gpu.all(),
            m ->
                m.kind() == Kind.CALL
                    && List.of(endings).stream().anyMatch(e -> m.name().equals(name + e))),
        1);
  }

  private static Optional<Measurement> latest(
      List<Measurement> figures, Predicate<Measurement> wanted) {
    return figures.stream()
        .filter(wanted)
        .max(Comparator.comparing((Measurement m) -> m.run().time()));
  }

  private static String median(Optional<Measurement> figure, double unit) {
    return figure.map(m -> number(m.value().median() / unit)).orElse("");
  }

  private static String number(double value) {
    return value >= 1000
        ? String.format(Locale.ROOT, "%,.0f", value)
        : String.format(Locale.ROOT, "%.3g", value);
  }

  /** Rows of a table. */
  private static final class Rows {
    private final StringBuilder text = new StringBuilder();
    private int rows;

    Rows(String... names) {
      add(names);
      text.append("|---".repeat(names.length)).append("|\n");
      rows = 0;
    }

    void add(String... cells) {
      text.append("| ").append(String.join(" | ", cells)).append(" |\n");
      rows++;
    }

    String text() {
      return rows == 0 ? NOTHING : text.toString();
    }
  }
}
