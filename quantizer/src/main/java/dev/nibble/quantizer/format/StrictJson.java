package dev.nibble.quantizer.format;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * JSON of model files: UTF-8, one object, no duplicate keys, bounded depth and lengths. For the
 * readers of this project; users of the library have no need of it.
 */
@SuppressWarnings("exports")
public final class StrictJson {
  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(64)
                  .maxStringLength(8 << 20)
                  .maxNumberLength(64)
                  .maxNameLength(4096)
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          // Names come from the file: keep them out of the JVM-wide tables.
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  private static final ObjectMapper MAPPER =
      JsonMapper.builder(FACTORY).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private StrictJson() {}

  /**
   * A parser over one JSON object.
   *
   * @param file for messages
   * @param utf8 the text, which begins with a brace
   * @return the parser, before its first token
   * @throws IOException if the text does not begin so or is not UTF-8
   */
  public static JsonParser parser(Path file, byte[] utf8) throws IOException {
    if (utf8.length == 0 || utf8[0] != '{') {
      throw new ModelFormatException(
          file, "offset 0 of the JSON text", "expected {, found " + start(utf8));
    }
    requireUtf8(file, utf8);
    return FACTORY.createParser(utf8);
  }

  /**
   * A small JSON object with one field set to another value.
   *
   * @param file for messages
   * @param utf8 the text
   * @param field of the object, there or not
   * @param value what it becomes
   * @return the new text
   * @throws IOException if the text is anything but an object
   */
  public static String with(Path file, byte[] utf8, String field, boolean value)
      throws IOException {
    return object(file, utf8).put(field, value).toString();
  }

  /**
   * Reads a small file that holds one JSON object.
   *
   * @param file for messages
   * @param utf8 the text
   * @return the object
   * @throws IOException if it is anything else
   */
  public static ObjectNode object(Path file, byte[] utf8) throws IOException {
    byte[] text = utf8;
    int blank = 0;
    while (blank < utf8.length && " \t\r\n".indexOf(utf8[blank]) >= 0) {
      blank++;
    }
    if (blank > 0) {
      text = Arrays.copyOfRange(utf8, blank, utf8.length);
    }
    try (JsonParser parser = parser(file, text)) {
      JsonNode tree = MAPPER.readTree(parser);
      if (tree instanceof ObjectNode object) {
        return object;
      }
      throw new ModelFormatException(file, "JSON", "expected an object");
    } catch (JsonProcessingException e) {
      throw broken(file, "JSON", e);
    }
  }

  /** Writes an object, indented. */
  static byte[] bytes(ObjectNode object) throws IOException {
    return MAPPER.writerWithDefaultPrettyPrinter().writeValueAsBytes(object);
  }

  /** Writes an object without any blank. */
  static byte[] compactBytes(ObjectNode object) throws IOException {
    return MAPPER.writeValueAsBytes(object);
  }

  static ObjectNode newObject() {
    return MAPPER.createObjectNode();
  }

  /**
   * What the parser refused, as an error of the file.
   *
   * @param file the file
   * @param field the field that was read
   * @param e what the parser said
   * @return the error, to be thrown
   */
  public static ModelFormatException broken(Path file, String field, JsonProcessingException e) {
    // Jackson adds where an object began, in words about its own settings.
    String problem = e.getOriginalMessage().replaceFirst(" \\(start marker at .*\\)$", "");
    return new ModelFormatException(file, field, problem + place(e.getLocation()), e);
  }

  private static String place(@Nullable JsonLocation location) {
    if (location == null) {
      return "";
    }
    return location.getByteOffset() >= 0
        ? " at byte " + location.getByteOffset()
        : " at line " + location.getLineNr() + ", column " + location.getColumnNr();
  }

  private static String start(byte[] utf8) {
    return utf8.length == 0 ? "nothing" : String.format("byte 0x%02x", utf8[0]);
  }

  private static void requireUtf8(Path file, byte[] utf8) throws ModelFormatException {
    CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    ByteBuffer in = ByteBuffer.wrap(utf8);
    CharBuffer out = CharBuffer.allocate(1024);
    while (true) {
      CoderResult result = decoder.decode(in, out.clear(), true);
      if (result.isError()) {
        throw new ModelFormatException(
            file, "byte " + in.position() + " of the JSON text", "not UTF-8");
      }
      if (result.isUnderflow()) {
        return;
      }
    }
  }
}
