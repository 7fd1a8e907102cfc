package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DamagedTokenizerTest {
  private static final Path NAME = Path.of("the-file");
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  @TempDir private Path folder;
  private TokenizerConfig config;

  @BeforeEach
  void readEmptyFolder() throws IOException {
    config = TokenizerConfig.open(folder);
  }

  private void open(String file, byte[] bytes) throws IOException {
    if (file.endsWith(".json")) {
      TokenizerJson.read(NAME, bytes, config);
    } else {
      new SentencePieceTokenizer(SentencePieceModel.read(NAME, bytes), config);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "sentencepiece/tokenizer.model",
        "llama3/tokenizer.json",
        "prepend/tokenizer.json"
      })
  void refusesAFileThatEndsTooEarly(String file) throws IOException {
    byte[] whole = Files.readAllBytes(TokenizerVectors.FOLDERS.resolve(file));
    open(file, whole);
    for (int length = 0; length < whole.length; length++) {
      byte[] part = Arrays.copyOf(whole, length);
      ModelFormatException e =
          assertThrows(
              ModelFormatException.class, () -> open(file, part), "cut to " + length + " bytes");
      assertTrue(e.getMessage().startsWith("the-file: "), e.getMessage());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "sentencepiece/tokenizer.model",
        "llama3/tokenizer.json",
        "prepend/tokenizer.json"
      })
  void refusesOrUnderstandsAFileWithAFlippedBit(String file) throws IOException {
    byte[] whole = Files.readAllBytes(TokenizerVectors.FOLDERS.resolve(file));
    Random random = new Random(SEED);
    for (int i = random.nextInt(12); i < whole.length; i += 1 + random.nextInt(12)) {
      byte[] flipped = whole.clone();
      flipped[i] ^= (byte) (1 << random.nextInt(8));
      try {
        open(file, flipped);
      } catch (ModelFormatException e) {
        assertEquals(-1, e.getMessage().indexOf('\n'));
      } catch (RuntimeException e) {
        fail("byte " + i + " of seed " + SEED, e);
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      value = {
        "\"BPE\"|\"Unigram\"|the model Unigram",
        "\"dropout\":null|\"dropout\":0.1|model.dropout",
        "\"end_of_word_suffix\":null|\"end_of_word_suffix\":\"</w>\"|model.end_of_word_suffix",
        "\"!\":0|\"!\":1|two tokens with the id 1",
        "\"!\":0|\"!\":-1|found -1",
        "\"!\":0|\"!\":1048576|found 1048576",
        "\"!\":0|\"!\":0,\"!\":500|Duplicate field",
        "\"!\":0|\"\":0|0 characters",
        "\"merges\":[[|\"merges\":[[\"a\",\"none\"],[|\"none\" is not in the vocabulary",
        "\"merges\":[[|\"merges\":[\"a b c\",[|model.merges[0]",
        "\"merges\":[[|\"merges\":[[\"a\"],[|model.merges[0]",
        "\"byte_fallback\":false|\"byte_fallback\":true|needs 256 byte tokens",
        "\"unk_token\":null|\"unk_token\":\"none\"|model.unk_token",
        "\"normalizer\":null|\"normalizer\":{\"type\":\"NFKC\"}|\"NFKC\" is not supported",
        "{1,3}|{1,4}|is not one of",
        "\"Isolated\"|\"Removed\"|pre_tokenizer.behavior",
        "\"Sequence\",\"pretokenizers\"|\"Whitespace\",\"pretokenizers\"|\"Whitespace\"",
        "\"TemplateProcessing\"|\"BertProcessing\"|\"BertProcessing\"",
        "\"ids\":[420]|\"ids\":[4200]|no token has the id 4200",
        "\"decoder\":{\"type\":\"ByteLevel\"|\"decoder\":{\"type\":\"CTC\"|\"CTC\"",
        "\"id\":420,\"content\":\"<|\"id\":3,\"content\":\"<|two tokens with the id 3",
        "\"id\":420,\"content\":\"<|\"id\":\"x\",\"content\":\"<|added_tokens[0].id",
        "\"version\":\"1.0\"|\"version\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
            + "[[[[[[1]|depth",
      })
  void namesWhatItRefuses(String text, String change, String message) throws IOException {
    Path file = TokenizerVectors.FOLDERS.resolve("llama3/tokenizer.json");
    String whole = Files.readString(file);
    assertTrue(whole.contains(text), text);
    byte[] changed = whole.replace(text, change).getBytes(UTF_8);
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> TokenizerJson.read(NAME, changed, config));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }

  @Test
  void namesWhatItRefusesInAConfig() throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"add_bos_token\": 1}");
    assertThrows(ModelFormatException.class, () -> TokenizerConfig.open(folder));
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"add_bos_token\": true}");
    TokenizerConfig bos = TokenizerConfig.open(folder);
    Path file = TokenizerVectors.FOLDERS.resolve("qwen2/tokenizer.json");
    assertThrows(ModelFormatException.class, () -> TokenizerJson.read(file, bos));
  }

  /** A folder stands for whatever is no file, pipes included, which would make a reader wait. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json"
      })
  void refusesWhatIsNoFile(String name) throws IOException {
    Path file = Files.createDirectory(folder.resolve(name));
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> TokenizerFiles.open(folder));
    assertEquals(file + ": file: expected a regular file", e.getMessage());
  }

  @Test
  void saysWhatIsMissing() {
    NoSuchFileException e =
        assertThrows(NoSuchFileException.class, () -> TokenizerFiles.open(folder));
    assertTrue(e.getMessage().contains("tokenizer.json"), e.getMessage());
  }
}
