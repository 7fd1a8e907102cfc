package dev.nibble.bench.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * llama-bench's {@code -o md}: lines of its log, if they were kept, a table whose columns depend on
 * what was asked for, and the build. It tells neither device nor time.
 */
final class LlamaBenchTable {
  /** Field with the columns that are there when an option was given, such as threads and fa. */
  static final String SETTINGS = "settings";

  private static final String BAR = "|";
  private static final String MODEL = "model";
  private static final String TEST = "test";
  private static final String SPEED = "t/s";

  /** Columns that are no settings of a test. */
  private static final Set<String> USUAL =
      Set.of(MODEL, "size", "params", "backend", "ngl", TEST, SPEED);

  private static final Pattern TESTS = Pattern.compile("(pp|tg) ?(\\d{1,9})(?: @ d(\\d{1,9}))?");
  private static final Pattern MEAN = Pattern.compile("(\\d{1,15}\\.\\d+) ± \\d{1,15}\\.\\d+");
  private static final Pattern BUILD = Pattern.compile("build: (\\S+) \\(\\d+\\)");

  private final String name;
  private final List<String> lines;

  private LlamaBenchTable(String name, List<String> lines) {
    this.name = name;
    this.lines = lines;
  }

  /** Whether a text has a table in it. */
  static boolean isIn(String text) {
    return text.lines().anyMatch(line -> line.startsWith(BAR));
  }

  /**
   * Reads it.
   *
   * @param name of the file, for errors
   * @param text its contents
   * @return a row for each test, with the names of llama-bench's JSON
   * @throws IOException if it is damaged; the line is named
   */
  static List<JsonNode> rows(String name, String text) throws IOException {
    return new LlamaBenchTable(name, text.lines().toList()).rows();
  }

  private List<JsonNode> rows() throws IOException {
    String build = build();
    List<String> columns = List.of();
    List<JsonNode> rows = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      if (!lines.get(i).startsWith(BAR)) {
        continue;
      }
      List<String> cells = cells(i);
      if (columns.isEmpty()) {
        columns = cells;
        if (!columns.containsAll(List.of(MODEL, TEST, SPEED))) {
          throw refusal(i, "columns model, test and t/s");
        }
      } else if (cells.size() != columns.size()) {
        throw refusal(i, columns.size() + " columns");
      } else if (!lines.get(i).startsWith("| --")) {
        rows.add(row(i, columns, cells).put("build_commit", build));
      }
    }
    return rows;
  }

  private ObjectNode row(int line, List<String> columns, List<String> cells) throws IOException {
    Matcher test = TESTS.matcher(cells.get(columns.indexOf(TEST)));
    if (!test.matches()) {
      throw refusal(line, "a test such as pp512, or tg128 @ d512");
    }
    Matcher mean = MEAN.matcher(cells.get(columns.indexOf(SPEED)));
    if (!mean.matches() || Double.parseDouble(mean.group(1)) == 0) {
      throw refusal(line, "a t/s above 0 such as 131.42 ± 0.59");
    }
    boolean prompt = test.group(1).equals("pp");
    int tokens = Integer.parseInt(test.group(2));
    if (tokens == 0) {
      throw refusal(line, "a test of at least 1 token");
    }
    ObjectNode row = JsonNodeFactory.instance.objectNode();
    row.put("model_type", cells.get(columns.indexOf(MODEL)));
    row.put("n_prompt", prompt ? tokens : 0);
    row.put("n_gen", prompt ? 0 : tokens);
    row.put("n_depth", test.group(3) == null ? 0 : Integer.parseInt(test.group(3)));
    row.put(PeerOutput.MEAN_SPEED, Double.parseDouble(mean.group(1)));
    ObjectNode settings = row.putObject(SETTINGS);
    for (int c = 0; c < columns.size(); c++) {
      if (!USUAL.contains(columns.get(c))) {
        settings.put(columns.get(c), cells.get(c));
      }
    }
    return row;
  }

  private List<String> cells(int line) throws IOException {
    String text = lines.get(line).stripTrailing();
    if (text.length() < 2 || !text.endsWith(BAR)) {
      throw refusal(line, "a | at its end");
    }
    return Arrays.stream(text.substring(1, text.length() - 1).split("\\|", -1))
        .map(String::strip)
        .toList();
  }

  /** The commit; a text without it was cut. */
  private String build() throws IOException {
    for (String line : lines) {
      Matcher build = BUILD.matcher(line.strip());
      if (build.matches()) {
        return build.group(1);
      }
    }
    throw new IOException(
        String.format(
            Locale.ROOT,
            "%s, line %d: expected 'build: COMMIT (NUMBER)' behind the table, found the end",
            name,
            lines.size() + 1));
  }

  private IOException refusal(int line, String expected) {
    return new IOException(
        String.format(
            Locale.ROOT,
            "%s, line %d: expected %s, found %s",
            name,
            line + 1,
            expected,
            lines.get(line).strip()));
  }
}
