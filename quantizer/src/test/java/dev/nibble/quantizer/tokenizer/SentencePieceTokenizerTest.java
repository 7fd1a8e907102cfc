package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SentencePieceTokenizerTest {
  private static final Path RUNTIME = Path.of(System.getProperty("project.root"), "runtime");
  private static final Path SMALL = TokenizerVectors.FOLDERS.resolve("sentencepiece");

  private final Tokenizer books = TokenizerFiles.open(RUNTIME.resolve("models/books-8m"));

  SentencePieceTokenizerTest() throws IOException {}

  @Test
  void doesWhatTheSentencepieceLibraryDoes() throws IOException {
    TokenizerVectors.assertReproduced(
        books, RUNTIME.resolve("src/test/resources/golden/tokenizer-spm-vectors.json"));
    TokenizerVectors.assertReproduced(TokenizerFiles.open(SMALL), SMALL.resolve("vectors.json"));
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
  void unpairedSurrogatesCountAsReplacementCharacters() {
    assertArrayEquals(books.encode("a\uFFFDb\uFFFD", false), books.encode("a\uDC00b\uD800", false));
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

  @Test
  void takesTokensBeyondTheModelFromTheFolder(@TempDir Path folder) throws IOException {
    Files.copy(SMALL.resolve("tokenizer.model"), folder.resolve("tokenizer.model"));
    int size = TokenizerFiles.open(folder).vocabSize();
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        """
        {"add_bos_token": false, "added_tokens_decoder": {
          "1": {"content": "<s>", "special": true},
          "%d": {"content": "<tool>"},
          "%d": {"content": "<end>", "special": true}}}\
        """
            .formatted(size, size + 2));
    Tokenizer tokenizer = TokenizerFiles.open(folder);
    assertEquals(size + 3, tokenizer.vocabSize());
    assertArrayEquals(tokenizer.encode("a", false), tokenizer.encode("a", true));
    int[] plain = tokenizer.encode("<end><tool>", false);
    assertEquals(size, plain[plain.length - 1]);
    assertEquals("<end><tool>", tokenizer.decode(plain));
    assertArrayEquals(new int[] {size, size + 2}, tokenizer.encodeWithSpecialTokens("<tool><end>"));
    assertEquals("<tool>", tokenizer.decode(new int[] {size, size + 1, size + 2}));

    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"added_tokens_decoder\": {\"0\": {\"content\": \"<tool>\"}}}");
    assertThrows(ModelFormatException.class, () -> TokenizerFiles.open(folder));
  }

  @ParameterizedTest
  @ValueSource(strings = {"a", " ", "7", "\n", "\u00e9", "\uD83D\uDE00", "ab "})
  void encodesAMegabyteInLinearTime(String unit) {
    TokenizerAsserts.assertLinear(books, unit);
  }
}
