package dev.nibble.quantizer.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("acceptance")
class BytePairAcceptanceTest {
  @Test
  void doesWhatTheTokenizersLibraryDoesWithAVocabularyLikeLlama3s() throws IOException {
    Path folder =
        Path.of(System.getProperty("project.root"))
            .resolve(System.getProperty("fixtures"))
            .resolve("golden/bpe-llama3-style");
    Tokenizer tokenizer = TokenizerFiles.open(folder);
    JsonNode cases =
        new ObjectMapper().readTree(folder.resolve("vectors.json").toFile()).get("cases");
    assertEquals(26, cases.size());
    for (JsonNode vector : cases) {
      String text = vector.get("text").textValue();
      int[] ids = TokenizerVectors.ids(vector.get("ids"));
      assertArrayEquals(ids, tokenizer.encodeAsReference(text, false), text);
      assertEquals(vector.get("decoded").textValue(), tokenizer.decodeAsReference(ids));
      TokenizerAsserts.assertStreams(tokenizer, ids);
    }
  }
}
