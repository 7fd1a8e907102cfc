package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.StreamSupport;

/** Texts, ids and decoded texts that a reference implementation computed. */
final class TokenizerVectors {
  private static final Path PROJECT = Path.of(System.getProperty("project.root"));

  /** Folders of small tokenizers, each with its vectors. */
  static final Path FOLDERS = PROJECT.resolve("quantizer/src/test/resources/tokenizer");

  private TokenizerVectors() {}

  /** Compares a tokenizer with every case of a file. */
  static void assertReproduced(Tokenizer tokenizer, Path file) throws IOException {
    JsonNode cases = new ObjectMapper().readTree(file.toFile()).get("cases");
    assertEquals(false, cases.isEmpty());
    for (JsonNode vector : cases) {
      int[] ids = ids(vector.get("ids"));
      int[] decodable = ids;
      if (vector.has("text")) {
        String text = vector.get("text").textValue();
        assertArrayEquals(ids, tokenizer.encode(text, false), text);
        if (vector.has("with_special")) {
          decodable = ids(vector.get("with_special"));
          assertArrayEquals(decodable, tokenizer.encodeWithSpecialTokens(text), text);
        }
      }
      assertEquals(vector.get("decoded").textValue(), tokenizer.decode(decodable));
      TokenizerAsserts.assertStreams(tokenizer, decodable);
    }
  }

  static int[] ids(JsonNode array) {
    return StreamSupport.stream(array.spliterator(), false).mapToInt(JsonNode::intValue).toArray();
  }
}
