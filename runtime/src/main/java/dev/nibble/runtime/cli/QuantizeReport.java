package dev.nibble.runtime.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Summary;
import dev.nibble.quantizer.method.InputRanges;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What a run of {@code quantize} did, as text, as JSON and as a page.
 *
 * @param folder the packed folder
 * @param scheme its scheme
 * @param method the method's name
 * @param summary errors and sizes
 * @param blockLosses mean squared error of each block's output; empty for methods that do not
 *     calibrate
 * @param curves for each block what the method said of its loss, step by step; empty where it said
 *     nothing
 * @param ranges what linears read, before and after; empty where it is not known
 * @param seconds time of quantizing
 * @param products of the calibration
 * @param peakHeapBytes most memory that the Java heap held
 * @param perplexity before and after
 */
record QuantizeReport(
    Path folder,
    String scheme,
    String method,
    Summary summary,
    List<Double> blockLosses,
    List<List<Double>> curves,
    List<InputRanges> ranges,
    double seconds,
    Optional<Products> products,
    long peakHeapBytes,
    Optional<Scores> perplexity) {
  /**
   * The products of float matrices that calibrating took.
   *
   * @param operations floating point operations, a multiplication and an addition each
   * @param seconds that the blocks took, everything included
   */
  record Products(long operations, double seconds) {
    double gigaflops() {
      return seconds > 0 ? operations / seconds / 1e9 : 0;
    }
  }

  /**
   * Perplexities of a text.
   *
   * @param text the file
   * @param tokens tokens scored
   * @param before of the source
   * @param after of the packed model, executed
   */
  record Scores(Path text, long tokens, double before, double after) {}

  /** Writes {@code BASE.txt}, {@code BASE.json} and {@code BASE.html}. */
  void write(Path base) throws IOException {
    Files.writeString(base.resolveSibling(base.getFileName() + ".txt"), text());
    Files.writeString(
        base.resolveSibling(base.getFileName() + ".json"),
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(json()) + "\n");
    Files.writeString(base.resolveSibling(base.getFileName() + ".html"), ReportPage.of(this));
  }

  /** Mean of the linears' errors. */
  double meanError() {
    return summary.linears().stream().mapToDouble(LinearError::relativeError).average().orElse(0);
  }

  /** For programs. */
  Map<String, Object> json() {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("folder", folder.toString());
    fields.put("scheme", scheme);
    fields.put("method", method);
    fields.put("bits_per_weight", summary.bitsPerWeight());
    fields.put("source_bytes", summary.sourceBytes());
    fields.put("packed_bytes", summary.packedBytes());
    fields.put("seconds", seconds);
    products.ifPresent(of -> {
      fields.put("product_operations", of.operations);
      fields.put("gflops", of.gigaflops());
    });
    fields.put("peak_heap_bytes", peakHeapBytes);
    perplexity.ifPresent(scores -> {
      Map<String, Object> of = new LinkedHashMap<>();
      of.put("text", scores.text.toString());
      of.put("tokens_scored", scores.tokens);
      of.put("before", scores.before);
      of.put("after", scores.after);
      fields.put("perplexity", of);
    });
    fields.put("block_losses", blockLosses);
    fields.put(
        "linears",
        summary.linears().stream()
            .map(l -> Map.of("name", l.name(), "relative_error", l.relativeError()))
            .toList());
    return fields;
  }

  /** How fast products were computed, all else included in the time. */
  static String speed(Products of) {
    return String.format(Locale.ROOT, "%.1f GFLOP/s", of.gigaflops());
  }

  /** For terminals. */
  String text() {
    StringBuilder text = new StringBuilder();
    for (LinearError linear : summary.linears()) {
      text.append(
          String.format(Locale.ROOT, "%-48s error %.5f%n", linear.name(), linear.relativeError()));
    }
    for (int block = 0; block < blockLosses.size(); block++) {
      text.append(
          String.format(Locale.ROOT, "block %-42d loss %.4g%n", block + 1, blockLosses.get(block)));
    }
    perplexity.ifPresent(scores ->
        text.append(
            String.format(
                Locale.ROOT,
                "perplexity %.4f before, %.4f after (%s, %d tokens)%n",
                scores.before,
                scores.after,
                scores.text,
                scores.tokens)));
    text.append(
        String.format(
            Locale.ROOT,
            "%s: %s by %s, %.4f bits a weight, mean error %.5f, %s -> %s, %.1f s, %s%s heap%n",
            folder,
            scheme,
            method,
            summary.bitsPerWeight(),
            meanError(),
            Quantities.bytes(summary.sourceBytes()),
            Quantities.bytes(summary.packedBytes()),
            seconds,
            products.map(of -> speed(of) + ", ").orElse(""),
            Quantities.bytes(peakHeapBytes)));
    return text.toString();
  }
}
