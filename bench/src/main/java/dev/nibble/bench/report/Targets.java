package dev.nibble.bench.report;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.function.Predicate;

/**
 * What the project set out to reach on an H200, and what it does: the targets were written down
 * before the kernels.
 */
final class Targets {
  private static final List<String> SHAPES =
      List.of("12288x4096", "4096x4096", "22016x4096", "4096x11008", "28672x8192");
  private static final String BASE = Charts.BASE_SCHEME;
  private static final String LARGE = "2048";
  private static final String FEW = "16";
  private static final String MANY = "64";
  private static final int CONTEXT = 4096;

  private final Figures gpu;
  private final MarkdownTable table = new MarkdownTable("what", "target", "measured", "met");

  private Targets(Figures gpu) {
    this.gpu = gpu;
  }

  static String markdown(Figures gpu) {
    Targets targets = new Targets(gpu);
    targets.decode();
    targets.prefill(BASE, 60);
    targets.prefill("W4A8", 45);
    targets.memory();
    targets.streamed();
    targets.batches();
    targets.large();
    targets.attention();
    return targets.table.text();
  }

  private void decode() {
    decode(BASE, 750);
    decode("W3A16g128", 900);
    decode("W2A16g128", 1050);
    decode("W16A16", 260);
    least(
        "decode, 64 sequences, " + BASE + "KV8, in all",
        8000,
        "tokens/s",
        model("decode", BASE + "KV8", MANY));
    most("host's part of a step", 15, "us", model("decode.host", BASE, "1"));
  }

  private void decode(String scheme, double speed) {
    least(
        "decode, " + Charts.BASE_MODEL + " " + scheme + ", context 512",
        speed,
        "tokens/s",
        model("decode", scheme, "1"));
  }

  private OptionalDouble model(String name, String scheme, String batch) {
    return median(m ->
        m.name().equals(name)
            && m.parameter("model").equals(Charts.BASE_MODEL)
            && m.parameter("scheme").equals(scheme)
            && m.parameter("batch").equals(batch)
            && m.parameter("depth").equals(Charts.BASE_DEPTH));
  }

  private void prefill(String scheme, double milliseconds) {
    OptionalDouble speed =
        median(m ->
            m.name().equals("prefill")
                && m.parameter("model").equals(Charts.BASE_MODEL)
                && m.parameter("scheme").equals(scheme)
                && m.parameter("tokens").equals(LARGE));
    most(
        "prompt of 2,048 tokens, " + Charts.BASE_MODEL + " " + scheme,
        milliseconds,
        "ms",
        ratio(OptionalDouble.of(1e3 * Integer.parseInt(LARGE)), speed));
  }

  /**
   * What is in use on the GPU when a cache of {@link #CONTEXT} tokens is full, and of it the
   * weights.
   */
  private void memory() {
    String base = Charts.BASE_MODEL + " " + BASE;
    most(
        "GPU memory in use, " + base + String.format(Locale.ROOT, ", context %,d", CONTEXT),
        6.4,
        "GiB",
        gibibytes(m -> m.name().equals("decode.device") && positions(m) == CONTEXT));
    most("weights of " + base, 3.8, "GiB", gibibytes(m -> m.name().equals("decode.weight")));
  }

  private OptionalDouble gibibytes(Predicate<Measurement> wanted) {
    OptionalDouble bytes =
        median(m ->
            m.kind() == Kind.MEMORY
                && m.parameter("model").equals(Charts.BASE_MODEL)
                && m.parameter("scheme").equals(BASE)
                && m.parameter("batch").equals("1")
                && wanted.test(m));
    return ratio(bytes, OptionalDouble.of(1L << 30));
  }

  /** Tokens in the cache when a model's test ends. */
  private static int positions(Measurement m) {
    return Integer.parseInt(m.parameter("depth")) + Integer.parseInt(m.parameter("tokens"));
  }

  /** Products of one token. */
  private void streamed() {
    double[] microseconds = {8.0, 4.5, 13.0, 8.0, 33};
    for (int i = 0; i < microseconds.length; i++) {
      most(
          BASE + " " + SHAPES.get(i) + ", 1 token",
          microseconds[i],
          "us",
          one(SHAPES.get(i), BASE));
    }
    most("W3A16g128 22016x4096, 1 token", 11.0, "us", one("22016x4096", "W3A16g128"));
    most("W2A16g128 22016x4096, 1 token", 8.5, "us", one("22016x4096", "W2A16g128"));
  }

  private OptionalDouble one(String shape, String scheme) {
    return time(shape, "1", scheme);
  }

  /** Products of some tokens beside one's, cuBLASLt's of halves, and Marlin's of its day. */
  private void batches() {
    for (String shape : SHAPES) {
      most(
          BASE + " " + shape + ", 16 tokens over 1",
          1.3,
          "times",
          ratio(time(shape, FEW, BASE), one(shape, BASE)));
    }
    for (String shape : SHAPES) {
      OptionalDouble library =
          gpu.libraryProduct(shape, MANY, "W16A16").stream()
              .mapToDouble(Figures::microseconds)
              .findFirst();
      most(
          BASE + " " + shape + ", 64 tokens over cuBLASLt fp16",
          1,
          "times",
          ratio(time(shape, MANY, BASE), library));
    }
    for (String shape : SHAPES) {
      gpu.productBy("Marlin", shape, MANY, BASE)
          .ifPresent(marlin ->
              most(
                  BASE + " " + shape + ", 64 tokens (Marlin's of " + day(marlin) + ")",
                  Figures.microseconds(marlin),
                  "us",
                  time(shape, MANY, BASE)));
    }
  }

  private static String day(Measurement m) {
    return m.run().time().substring(0, "2026-01-01".length());
  }

  /** Products of many tokens; codes that meet weights in groups are multiplied as halves. */
  private void large() {
    speed(BASE, "fp16", 600, "TFLOP/s");
    speed("W4A8", "int8", 900, "TOP/s");
    speed("W4A4", "int8", 900, "TOP/s");
    speed("W4A8g128", "codes as fp16", 700, "TOP/s");
    speed("W4A4g128", "codes as fp16", 700, "TOP/s");
    table.add(
        "quantization of these inputs, beside",
        "",
        MarkdownTable.median(
                gpu.latest(m ->
                    m.name().equals("act_quant")
                        && m.parameter("tokens").equals(LARGE)
                        && m.parameter("columns").equals("4096")
                        && m.parameter("bits").equals("8")))
            + " us",
        "");
  }

  private void speed(String scheme, String units, double target, String unit) {
    OptionalDouble speed =
        gpu.product(SHAPES.getFirst(), LARGE, scheme).stream()
            .mapToDouble(m -> m.work().operations() / Figures.microseconds(m) / 1e6)
            .findFirst();
    least(scheme + " 12288x4096, 2,048 tokens (" + units + ")", target, unit, speed);
  }

  private void attention() {
    OptionalDouble share =
        gpu.latest(m -> isAttention(m, "attention_decode", "8", "16"))
            .flatMap(gpu.ceilings()::share)
            .filter(s -> s.ceiling().equals(Ceilings.READ))
            .map(s -> OptionalDouble.of(100 * s.of()))
            .orElse(OptionalDouble.empty());
    least("attention, 8 x 4,096 tokens at KV16, of the read", 75, "%", share);
    least(
        "the same at KV4, times as fast",
        2.5,
        "times",
        ratio(
            median(m -> isAttention(m, "attention_decode", "8", "16")),
            median(m -> isAttention(m, "attention_decode", "8", "4"))));
    OptionalDouble prompt =
        gpu.latest(m -> isAttention(m, "attention_prefill", "1", "16")).stream()
            .mapToDouble(m -> m.work().operations() / Figures.microseconds(m) / 1e6)
            .findFirst();
    least("attention, prompt of 4,096", 350, "TFLOP/s", prompt);
  }

  private static boolean isAttention(Measurement m, String name, String batch, String bits) {
    return m.kind() == Kind.KERNEL
        && m.name().equals(name)
        && m.parameter("batch").equals(batch)
        && m.parameter("context").equals("4096")
        && m.parameter("kv_heads").equals(m.parameter("heads"))
        && m.parameter("kv_bits").equals(bits);
  }

  private OptionalDouble time(String shape, String tokens, String scheme) {
    return gpu.product(shape, tokens, scheme).stream()
        .mapToDouble(Figures::microseconds)
        .findFirst();
  }

  private OptionalDouble median(Predicate<Measurement> wanted) {
    return gpu.latest(wanted).stream().mapToDouble(m -> m.value().median()).findFirst();
  }

  private static OptionalDouble ratio(OptionalDouble a, OptionalDouble b) {
    return a.isPresent() && b.isPresent()
        ? OptionalDouble.of(a.getAsDouble() / b.getAsDouble())
        : OptionalDouble.empty();
  }

  private void least(String what, double target, String unit, OptionalDouble found) {
    row(what, "at least ", target, unit, found, found.orElse(0) >= target);
  }

  private void most(String what, double target, String unit, OptionalDouble found) {
    row(what, "at most ", target, unit, found, found.orElse(target) <= target);
  }

  private void row(
      String what, String bound, double target, String unit, OptionalDouble found, boolean met) {
    List<String> cells = new ArrayList<>(List.of(what));
    cells.add(bound + MarkdownTable.number(target) + " " + unit);
    cells.add(found.isPresent() ? MarkdownTable.number(found.getAsDouble()) : "not measured");
    cells.add(found.isEmpty() ? "" : met ? "yes" : "no");
    table.add(cells);
  }
}
