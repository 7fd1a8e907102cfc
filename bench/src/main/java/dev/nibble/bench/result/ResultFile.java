package dev.nibble.bench.result;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A file of measurements, a line of JSON each. Not thread-safe. */
public final class ResultFile {
  private static final ObjectMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES).build();

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
        measurements.add(parse(lines.get(i), i + 1));
      }
    }
    return measurements;
  }

  private Measurement parse(String line, int number) throws IOException {
    try {
      return JSON.readValue(line, Measurement.class);
    } catch (JsonProcessingException e) {
      throw new IOException(
          path + ", line " + number + ": not a measurement: " + e.getOriginalMessage(), e);
    }
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
    for (Measurement measurement : measurements) {
      lines.append(JSON.writeValueAsString(measurement)).append('\n');
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
      for (Measurement measurement : new ResultFile(file).read()) {
        latest.merge(
            measurement.subject(),
            measurement,
            (a, b) -> a.run().time().compareTo(b.run().time()) > 0 ? a : b);
      }
    }
    return List.copyOf(latest.values());
  }
}
