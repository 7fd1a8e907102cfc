package dev.nibble.bench.result;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.ser.std.StdScalarSerializer;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * A file of measurements, a line of JSON each. A line that names a machine stands for itself; one
 * that does not has from the line before what it leaves out of machine, clocks, origin and run. Not
 * thread-safe.
 */
public final class ResultFile {
  private static final ObjectMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .addModule(new SimpleModule().addSerializer(double.class, new Digits()))
          .build();

  private static final String MACHINE = "machine";
  private static final String CLOCKS = "clocks";
  private static final String RUN = "run";
  private static final List<String> SHARED = List.of(MACHINE, CLOCKS, "origin");
  private static final List<String> SHARED_OF_RUN = List.of("commit", "command", "time", "step");

  /** Times and speeds have six digits of meaning at the most; bytes are whole, and stay so. */
  private static final class Digits extends StdScalarSerializer<Double> {
    private static final MathContext SIX = new MathContext(6);

    private static final long serialVersionUID = 1;

    Digits() {
      super(Double.class);
    }

    @Override
    public void serialize(Double value, JsonGenerator json, SerializerProvider provider)
        throws IOException {
      boolean whole = value == Math.rint(value) || !Double.isFinite(value);
      json.writeNumber(whole ? value : new BigDecimal(value).round(SIX).doubleValue());
    }
  }

  private final Path path;

  /**
   * A file that need not be there yet.
   *
   * @param path of it
   */
  public ResultFile(Path path) {
    this.path = path;
  }

  /**
   * Reads it.
   *
   * @return the measurements in order, none if there is no such file
   * @throws IOException if a line is not a measurement, but for a last line that a run was ended in
   */
  public List<Measurement> read() throws IOException {
    List<Measurement> measurements = new ArrayList<>();
    if (!Files.exists(path)) {
      return measurements;
    }
    String text = Files.readString(path);
    List<String> lines = text.lines().toList();
    for (int i = 0; i < lines.size(); i++) {
      boolean cut = i == lines.size() - 1 && !text.endsWith("\n");
      if (!cut && !lines.get(i).isBlank()) {
        measurements.add(parse(lines.get(i), i + 1, measurements));
      }
    }
    return measurements;
  }

  private Measurement parse(String line, int number, List<Measurement> before) throws IOException {
    try {
      JsonNode row = JSON.readTree(line);
      if (row instanceof ObjectNode fields && !row.has(MACHINE) && !before.isEmpty()) {
        ObjectNode last = JSON.valueToTree(before.getLast());
        fill(fields, last, SHARED);
        fill(fields.withObjectProperty(RUN), last.path(RUN), SHARED_OF_RUN);
      }
      if (!row.has(MACHINE)) {
        throw new IOException(path + ", line " + number + ": not a measurement: no machine");
      }
      return JSON.treeToValue(row, Measurement.class);
    } catch (JsonProcessingException e) {
      throw new IOException(
          path + ", line " + number + ": not a measurement: " + e.getOriginalMessage(), e);
    }
  }

  private static void fill(ObjectNode fields, JsonNode from, List<String> names) {
    for (String name : names) {
      if (!fields.has(name)) {
        fields.set(name, from.path(name));
      }
    }
  }

  /** Takes out what is the same in another. */
  private static void shorten(ObjectNode fields, JsonNode before, List<String> names) {
    fields.remove(names.stream().filter(n -> fields.path(n).equals(before.path(n))).toList());
  }

  /**
   * Adds measurements at the end, all or, if the process ends meanwhile, a line that {@link #read}
   * passes over.
   *
   * @param measurements what to add
   * @throws IOException if the file cannot be written
   */
  public void append(Collection<Measurement> measurements) throws IOException {
    Path folder = path.toAbsolutePath().getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    StringBuilder lines = new StringBuilder();
    JsonNode before = JSON.createObjectNode();
    for (Measurement measurement : measurements) {
      ObjectNode whole = JSON.valueToTree(measurement);
      ObjectNode row = shortened(measurement, whole, before);
      lines.append(JSON.writeValueAsString(row)).append('\n');
      before = whole;
    }
    long whole = wholeBytes();
    try (FileChannel file =
        FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
      file.truncate(whole);
      file.position(whole);
      ByteBuffer bytes = ByteBuffer.wrap(lines.toString().getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        file.write(bytes);
      }
      file.force(true);
    }
  }

  /**
   * Writes the file anew, briefly, with one line for each figure that was measured in several
   * rounds of a step; a process that ends meanwhile leaves the file as it was.
   *
   * @throws IOException if the file cannot be read or written
   */
  public void poolRounds() throws IOException {
    List<Measurement> rows = read();
    List<Measurement> pooled = pooled(rows);
    if (!rows.isEmpty()) {
      Path whole = path.resolveSibling(path.getFileName() + ".pooled");
      Files.deleteIfExists(whole);
      new ResultFile(whole).append(pooled);
      Files.move(whole, path, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  /**
   * Puts rounds of a step together.
   *
   * @param rows of a file
   * @return a measurement for each figure of a step and commit, with the samples of all rounds; the
   *     rest of it is the last round's
   */
  public static List<Measurement> pooled(List<Measurement> rows) {
    Map<String, List<Measurement>> rounds = new LinkedHashMap<>();
    for (Measurement row : rows) {
      String step = StepRound.parse(row.run().step()).step();
      String key =
          step.isEmpty()
              ? "row " + rounds.size()
              : String.join(" ", row.subject(), row.run().commit(), step);
      rounds.computeIfAbsent(key, _ -> new ArrayList<>()).add(row);
    }
    return rounds.values().stream()
        .map(of -> of.getLast().with(Spread.pooled(of.stream().map(Measurement::value).toList())))
        .toList();
  }

  private static ObjectNode shortened(Measurement measurement, ObjectNode whole, JsonNode before) {
    ObjectNode row = whole.deepCopy();
    if (measurement.work().equals(Work.NONE)) {
      row.remove("work");
    }
    if (whole.path(MACHINE).equals(before.path(MACHINE))) {
      shorten(row, before, SHARED);
      shorten(row.withObjectProperty(RUN), before.path(RUN), SHARED_OF_RUN);
      if (row.path(RUN).isEmpty()) {
        row.remove(RUN);
      }
    } else if (measurement.clocks().equals(Clocks.UNKNOWN)) {
      row.remove(CLOCKS);
    }
    return row;
  }

  /** Bytes up to the last whole line. */
  private long wholeBytes() throws IOException {
    if (!Files.exists(path)) {
      return 0;
    }
    byte[] bytes = Files.readAllBytes(path);
    int end = bytes.length;
    while (end > 0 && bytes[end - 1] != '\n') {
      end--;
    }
    return end;
  }

  /**
   * Reads every {@code .jsonl} file of a folder.
   *
   * @param folder with results
   * @return the latest measurement of each subject
   * @throws IOException if a file cannot be read or holds something else
   */
  public static List<Measurement> latest(Path folder) throws IOException {
    List<Path> files;
    try (Stream<Path> entries = Files.list(folder)) {
      files = entries.filter(file -> file.toString().endsWith(".jsonl")).sorted().toList();
    }
    Map<String, Measurement> latest = new LinkedHashMap<>();
    for (Path file : files) {
      for (Measurement measurement : pooled(new ResultFile(file).read())) {
        latest.merge(
            measurement.subject(),
            measurement,
            (a, b) -> a.run().time().compareTo(b.run().time()) > 0 ? a : b);
      }
    }
    return List.copyOf(latest.values());
  }
}
