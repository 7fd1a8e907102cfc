package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BytePairTokenizerTest {
  private static Tokenizer open(String folder) throws IOException {
    return TokenizerFiles.open(TokenizerVectors.FOLDERS.resolve(folder));
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen2", "gpt2", "prepend", "metaspace", "metaspace-always"})
  void doesWhatTheTokenizersLibraryDoes(String folder) throws IOException {
    Path vectors = TokenizerVectors.FOLDERS.resolve(folder).resolve("vectors.json");
    TokenizerVectors.assertReproduced(open(folder), vectors);
  }

  @Test
  void theTemplateOfTheFileSaysWhatBeginsAText() throws IOException {
    int[] withBos = open("llama3").encode("a", true);
    assertArrayEquals(new int[] {420, open("llama3").encode("a", false)[0]}, withBos);
    assertEquals(1, open("prepend").encode("a", true)[0]);
    assertArrayEquals(open("qwen2").encode("a", false), open("qwen2").encode("a", true));
  }

  @Test
  void specialTokensAreFoundAndKeptWhereTheReferenceDoesSo() throws IOException {
    Tokenizer tokenizer = open("llama3");
    int[] ids = tokenizer.encodeAsReference("a<|end|>", true);
    assertArrayEquals(new int[] {420, tokenizer.encode("a", false)[0], 421}, ids);
    assertEquals("<|begin|>a<|end|>", tokenizer.decodeAsReference(ids));
    assertEquals("a", tokenizer.decode(ids));
    assertEquals("a<|end|>", tokenizer.decode(tokenizer.encode("a<|end|>", true)));
  }

  @Test
  void readsAVocabularyWithAListOfMerges(@TempDir Path folder) throws IOException {
    Path whole = TokenizerVectors.FOLDERS.resolve("gpt2/tokenizer.json");
    JsonNode model = new ObjectMapper().readTree(whole.toFile()).get("model");
    StringBuilder merges = new StringBuilder("#version: 0.2\n");
    for (JsonNode merge : model.get("merges")) {
      merges.append(merge.get(0).textValue()).append(' ').append(merge.get(1).textValue());
      merges.append('\n');
    }
    Files.writeString(folder.resolve("vocab.json"), model.get("vocab").toString());
    Files.writeString(folder.resolve("merges.txt"), merges);
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        """
        {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "!"}\
        """);
    Tokenizer tokenizer = TokenizerFiles.open(folder);
    Tokenizer reference = open("gpt2");
    for (String text : List.of("It's 1234  words\n\n of\ttext", "", "\u00e9\uD83D\uDE00")) {
      int[] ids = tokenizer.encode(text, false);
      // The reference puts a space in front.
      assertArrayEquals(reference.encode(" " + text, false), tokenizer.encode(" " + text, false));
      assertEquals(text, tokenizer.decode(ids));
    }
    assertEquals(tokenizer.id("!").orElseThrow(), tokenizer.encode("a", true)[0]);
    Files.writeString(
        folder.resolve("tokenizer_config.json"), "{\"tokenizer_class\": \"RobertaTokenizer\"}");
    assertThrows(ModelFormatException.class, () -> TokenizerFiles.open(folder));
  }

  @Test
  void brokenUtf8BecomesOneReplacementCharacterASequence() throws IOException {
    Tokenizer tokenizer = open("llama3");
    int[] ids = {
      tokenizer.id(ByteLevelAlphabetTest.character(0xF0)).orElseThrow(),
      tokenizer.id(ByteLevelAlphabetTest.character(0x9F)).orElseThrow(),
      tokenizer.id("a").orElseThrow(),
      tokenizer.id(ByteLevelAlphabetTest.character(0xE2)).orElseThrow()
    };
    assertEquals("\uFFFDa\uFFFD", tokenizer.decode(ids));
    TokenizerAsserts.assertStreams(tokenizer, ids);
  }

  @Test
  void theReferenceReplacesAWholeRunOfBytesOfWhichOneIsBroken() throws IOException {
    Tokenizer tokenizer = open("prepend");
    int[] ids = {
      tokenizer.id("<0x41>").orElseThrow(),
      tokenizer.id("<0xE2>").orElseThrow(),
      tokenizer.id("a").orElseThrow(),
      tokenizer.id("<0xC3>").orElseThrow(),
      tokenizer.id("<0xA9>").orElseThrow()
    };
    assertEquals("\uFFFD\uFFFDa\u00E9", tokenizer.decodeAsReference(ids));
    assertEquals("A\uFFFDa\u00E9", tokenizer.decode(ids));
    TokenizerAsserts.assertStreams(tokenizer, ids);
  }

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      value = {
        "llama3,a",
        "llama3,\" \"",
        "llama3,7",
        "llama3,\"\n\"",
        "llama3,!",
        "llama3,\uD83D\uDE00",
        "qwen2,a",
        "qwen2,\u0301",
        "qwen2,\u0301\u0316",
        "qwen2,<strip>",
        "gpt2,a",
        "gpt2,\" \"",
        "prepend,a",
        "prepend,\" \"",
        "metaspace-always,\"a \""
      })
  void encodesAMegabyteInLinearTime(String folder, String unit) throws IOException {
    TokenizerAsserts.assertLinear(open(folder), unit);
  }
}
