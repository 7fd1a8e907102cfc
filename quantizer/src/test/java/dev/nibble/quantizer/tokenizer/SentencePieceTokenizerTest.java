package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SentencePieceTokenizerTest {
  private static final Path RUNTIME = Path.of(System.getProperty("project.root"), "runtime");

  private final Tokenizer books = TokenizerFiles.open(RUNTIME.resolve("models/books-8m"));

  SentencePieceTokenizerTest() throws IOException {}

  @Test
  void encodesAndDecodesAsTheSentencepieceLibrary() throws IOException {
    Path file = RUNTIME.resolve("src/test/resources/golden/tokenizer-spm-vectors.json");
    JsonNode cases = new ObjectMapper().readTree(file.toFile()).get("cases");
    assertEquals(25, cases.size());
    for (JsonNode vector : cases) {
      String text = vector.get("text").textValue();
      int[] ids =
          StreamSupport.stream(vector.get("ids").spliterator(), false)
              .mapToInt(JsonNode::intValue)
              .toArray();
      assertArrayEquals(ids, books.encode(text, false), text);
      assertEquals(vector.get("decoded").textValue(), books.decode(ids));
      TokenizerAsserts.assertStreams(books, ids);
    }
  }

  @Test
  void putsTheBosInFront() {
    assertArrayEquals(new int[] {1, 261}, books.encode("a", true));
    assertArrayEquals(new int[] {1}, books.encode("", true));
  }

  @Test
  void namesOfControlPiecesAreTokensOnlyInTemplates() {
    assertArrayEquals(new int[] {1, 261, 2}, books.encodeWithSpecialTokens("<s>a</s>"));
    assertEquals("<s>a</s>", books.decode(books.encode("<s>a</s>", false)));
    assertEquals(OptionalInt.of(2), books.id("</s>"));
    assertEquals(OptionalInt.empty(), books.id("<none>"));
  }

  @Test
  void bytesThatAreNotUtf8BecomeReplacementCharacters() {
    int firstByte = books.id("<0x00>").orElseThrow();
    int[] ids = {261, firstByte + 0xE2, firstByte + 0x81, firstByte + 0x41, firstByte + 0xFF};
    assertEquals("a\uFFFD\uFFFDA\uFFFD", books.decode(ids));
    TokenizerAsserts.assertStreams(books, ids);
    assertThrows(IllegalArgumentException.class, () -> books.decode(new int[] {8192}));
    assertThrows(IllegalArgumentException.class, () -> books.decode(new int[] {-1}));
  }

  @ParameterizedTest
  @ValueSource(strings = {"a", " ", "7", "\n", "\u00e9", "\uD83D\uDE00", "ab "})
  void encodesAMegabyteInLinearTime(String unit) {
    TokenizerAsserts.assertLinear(books, unit);
  }
}
