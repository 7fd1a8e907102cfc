package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
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

  @ParameterizedTest
  @CsvSource(
      quoteCharacter = '"',
      value = {
        "llama3,a", "llama3,\" \"", "llama3,7", "llama3,\"\n\"", "llama3,!", "llama3,\uD83D\uDE00",
        "qwen2,a", "qwen2,\u0301", "qwen2,<strip>", "gpt2,a", "gpt2,\" \"", "prepend,a",
        "prepend,\" \"", "metaspace-always,\"a \""
      })
  void encodesAMegabyteInLinearTime(String folder, String unit) throws IOException {
    TokenizerAsserts.assertLinear(open(folder), unit);
  }
}
