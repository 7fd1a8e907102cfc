package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.runtime.NpyArray;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Logits and greedy continuations of unquantized models against other implementations'. */
class GoldenLogitsTest {
  private static final float BOOKS_TOLERANCE = 2e-3f;
  private static final float TINY_TOLERANCE = 1e-4f;
  private static final double CLEAR_GAP = 1e-3;

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt"})
  void tinyModelInTree(String name) throws IOException {
    checkTiny(TestModels.resource("tiny/" + name));
  }

  @Tag("acceptance")
  @ParameterizedTest
  @ValueSource(strings = {"llama2", "llama3", "mistral", "qwen2", "qwen3", "opt"})
  void tinyModel(String name) throws IOException {
    checkTiny(TestModels.fixture("models/tiny/" + name));
  }

  @Tag("acceptance")
  @ParameterizedTest
  @ValueSource(strings = {"falcon", "mixtral"})
  void unknownArchitectureIsRefusedByName(String name) {
    Path folder = TestModels.fixture("models/tiny/" + name);
    ModelFormatException refusal =
        assertThrows(
            ModelFormatException.class, () -> TestModels.cpu(folder, ModelOptions.DEFAULT));
    assertTrue(refusal.getMessage().toLowerCase(Locale.ROOT).contains(name), refusal.getMessage());
  }

  @Test
  void sixteenRowsOfBooks8m() throws IOException {
    NpyArray golden = NpyArray.read(TestModels.resource("golden/books-8m-logits-16-of-128.npy"));
    checkBooks(golden, TestModels.json(TestModels.resource("golden/books-8m.json")));
  }

  @Tag("acceptance")
  @Test
  void allRowsOfBooks8m() throws IOException {
    NpyArray golden = NpyArray.read(TestModels.fixture("golden/books-8m-logits-128.npy"));
    checkBooks(golden, TestModels.json(TestModels.fixture("golden/books-8m.json")));
  }

  @Test
  void greedyContinuationsOfBooks8m() throws IOException {
    JsonNode golden = TestModels.json(TestModels.resource("golden/books-8m.json"));
    try (Engine engine = TestModels.cpu(TestModels.books8m(), ModelOptions.DEFAULT)) {
      for (JsonNode prompt : golden.get("prompts")) {
        int[] expected = TestModels.ints(prompt.get("greedy"));
        int[] found =
            TestModels.generate(
                engine,
                SamplingParameters.GREEDY,
                TestModels.ints(prompt.get("ids")),
                expected.length);
        int compared = 0;
        while (compared < expected.length && expected[compared] == found[compared]) {
          compared++;
        }
        if (compared < expected.length) {
          double gap = prompt.get("greedy_top2_gap").get(compared).asDouble();
          assertTrue(
              gap <= CLEAR_GAP,
              prompt.get("prompt") + ": token " + compared + " differs at a gap of " + gap);
        }
      }
    }
  }

  private static void checkBooks(NpyArray golden, JsonNode ids) throws IOException {
    int[] tokens = TestModels.ints(ids.get("logits_128_ids"));
    int stride = tokens.length / golden.rows();
    try (Engine engine = TestModels.cpu(TestModels.books8m(), ModelOptions.DEFAULT)) {
      float[] logits = TestModels.logits(engine, tokens);
      assertEquals(golden.columns(), engine.vocabSize());
      for (int row = 0; row < golden.rows(); row++) {
        int from = ((row + 1) * stride - 1) * golden.columns();
        for (int i = 0; i < golden.columns(); i++) {
          assertEquals(
              golden.values()[row * golden.columns() + i], logits[from + i], BOOKS_TOLERANCE);
        }
      }
    }
  }

  private static void checkTiny(Path folder) throws IOException {
    NpyArray golden = NpyArray.read(folder.resolve("logits.npy"));
    JsonNode answers = TestModels.json(folder.resolve("golden.json"));
    int[] ids = TestModels.ints(answers.get("ids"));
    int[] greedy = TestModels.ints(answers.get("greedy"));
    try (Engine engine = TestModels.cpu(folder, ModelOptions.DEFAULT)) {
      float[] logits = TestModels.logits(engine, ids);
      assertEquals(golden.values().length, logits.length);
      float largest = 0;
      float difference = 0;
      for (int i = 0; i < logits.length; i++) {
        largest = Math.max(largest, Math.abs(golden.values()[i]));
        difference = Math.max(difference, Math.abs(golden.values()[i] - logits[i]));
      }
      assertTrue(
          difference <= TINY_TOLERANCE * largest,
          folder + ": logits differ by " + difference + ", the largest is " + largest);
      assertArrayEquals(
          greedy, TestModels.generate(engine, SamplingParameters.GREEDY, ids, greedy.length));
    }
  }
}
