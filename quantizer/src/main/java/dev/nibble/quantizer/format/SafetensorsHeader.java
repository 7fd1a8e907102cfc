package dev.nibble.quantizer.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/**
 * The JSON header of a safetensors file: its tensors lie one after the other from offset 0 and fill
 * the rest of the file, as the format demands.
 *
 * @param metadata {@code __metadata__}
 * @param entries the tensors, by offset
 */
record SafetensorsHeader(SequencedMap<String, String> metadata, List<Entry> entries) {
  static final String METADATA = "__metadata__";
  static final int MAX_HEADER_BYTES = 100_000_000;
  private static final int MAX_TENSORS = 1 << 20;

  /**
   * A tensor and where its data lies.
   *
   * @param info its description
   * @param begin first byte, counted from the end of the header
   * @param end byte after the last
   */
  record Entry(TensorInfo info, long begin, long end) {}

  /**
   * Parses and checks a header.
   *
   * @param file for messages
   * @param json the header's text
   * @param dataBytes size of what follows it in the file
   */
  static SafetensorsHeader parse(Path file, byte[] json, long dataBytes) throws IOException {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    List<Entry> entries = new ArrayList<>();
    try (JsonParser parser = StrictJson.parser(file, json)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        if (name.equals(METADATA)) {
          readMetadata(file, parser, metadata);
        } else if (entries.size() == MAX_TENSORS) {
          throw new ModelFormatException(file, "header", "more than " + MAX_TENSORS + " tensors");
        } else {
          entries.add(readEntry(file, name, parser));
        }
      }
      if (parser.nextToken() != null) {
        throw new ModelFormatException(file, "header", "text after the JSON object");
      }
    } catch (JsonProcessingException e) {
      throw StrictJson.broken(file, "header", e);
    }
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    requireContiguous(file, entries, dataBytes);
    return new SafetensorsHeader(
        Collections.unmodifiableSequencedMap(metadata), List.copyOf(entries));
  }

  private static void readMetadata(
      Path file, JsonParser parser, SequencedMap<String, String> metadata) throws IOException {
    expect(file, METADATA, parser, JsonToken.START_OBJECT, "an object");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      expect(file, METADATA + "." + key, parser, JsonToken.VALUE_STRING, "a string");
      metadata.put(key, parser.getText());
    }
  }

  private static Entry readEntry(Path file, String name, JsonParser parser) throws IOException {
    String field = "tensor '" + name + "'";
    expect(file, field, parser, JsonToken.START_OBJECT, "an object");
    DType dtype = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      parser.nextToken();
      switch (key) {
        case "dtype" -> dtype = readDType(file, field, parser);
        case "shape" -> shape = readSizes(file, field + ".shape", parser, TensorInfo.MAX_RANK);
        case "data_offsets" -> offsets = readSizes(file, field + ".data_offsets", parser, 2);
        default -> throw new ModelFormatException(file, field, "unknown field '" + key + "'");
      }
    }
    if (dtype == null || shape == null || offsets == null || offsets.size() != 2) {
      throw new ModelFormatException(
          file, field, "expected dtype, shape and data_offsets [begin, end]");
    }
    return checked(file, field, name, dtype, shape, offsets.get(0), offsets.get(1));
  }

  private static Entry checked(
      Path file, String field, String name, DType dtype, List<Long> shape, long begin, long end)
      throws ModelFormatException {
    TensorInfo info;
    try {
      info = new TensorInfo(name, dtype, shape);
    } catch (IllegalArgumentException e) {
      throw new ModelFormatException(file, field, String.valueOf(e.getMessage()), e);
    }
    if (begin > end || end - begin != info.bytes()) {
      throw new ModelFormatException(
          file,
          field,
          "expected "
              + info.bytes()
              + " bytes for shape "
              + shape
              + " of "
              + dtype
              + ", found data_offsets ["
              + begin
              + ", "
              + end
              + "]");
    }
    return new Entry(info, begin, end);
  }

  private static DType readDType(Path file, String field, JsonParser parser) throws IOException {
    expect(file, field + ".dtype", parser, JsonToken.VALUE_STRING, "a string");
    String name = parser.getText();
    for (DType dtype : DType.values()) {
      if (dtype.name().equals(name)) {
        return dtype;
      }
    }
    throw new ModelFormatException(
        file, field + ".dtype", "expected one of " + List.of(DType.values()) + ", found " + name);
  }

  private static List<Long> readSizes(Path file, String field, JsonParser parser, int limit)
      throws IOException {
    expect(file, field, parser, JsonToken.START_ARRAY, "an array");
    List<Long> sizes = new ArrayList<>(limit);
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(file, field, parser, JsonToken.VALUE_NUMBER_INT, "an integer");
      if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          || parser.getLongValue() < 0) {
        throw new ModelFormatException(
            file, field, "expected 0 to 2^63 - 1, found " + parser.getText());
      }
      if (sizes.size() == limit) {
        throw new ModelFormatException(file, field, "expected at most " + limit + " numbers");
      }
      sizes.add(parser.getLongValue());
    }
    return sizes;
  }

  private static void requireContiguous(Path file, List<Entry> entries, long dataBytes)
      throws ModelFormatException {
    long end = 0;
    for (Entry entry : entries) {
      if (entry.begin() != end) {
        throw new ModelFormatException(
            file,
            "tensor '" + entry.info().name() + "'",
            (entry.begin() < end ? "overlaps the tensor before it" : "leaves a hole")
                + ": expected it at byte "
                + end
                + " of the data, found "
                + entry.begin());
      }
      end = entry.end();
    }
    if (end != dataBytes) {
      throw new ModelFormatException(
          file,
          "size",
          "expected "
              + end
              + " bytes of data after the header, found "
              + dataBytes
              + (dataBytes < end ? "; the file is cut short, fetch it again" : ""));
    }
  }

  private static void expect(
      Path file, String field, JsonParser parser, JsonToken expected, String what)
      throws IOException {
    if (parser.currentToken() != expected) {
      throw new ModelFormatException(
          file, field, "expected " + what + ", found " + parser.getText());
    }
  }
}
