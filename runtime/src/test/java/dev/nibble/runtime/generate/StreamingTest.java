package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.MemoryPlan;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.generate.GenerationResult.FinishReason;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Text of tokens that split code points, from an engine that says what it is told to. */
class StreamingTest {
  private static final int END = 2;

  @Test
  void piecesAreWholeCodePoints() throws IOException {
    String answer = "caf\u00e9 \uD83D\uDE00 \u4E2D\u6587";
    List<String> pieces = new ArrayList<>();
    GenerationResult result = say(answer, List.of(), pieces);
    assertEquals(answer, result.text());
    assertEquals(answer, String.join("", pieces));
    assertEquals(FinishReason.STOP, result.finishReason());
    for (String piece : pieces) {
      assertEquals(-1, piece.indexOf('\uFFFD'));
      assertEquals(false, Character.isLowSurrogate(piece.charAt(0)));
      assertEquals(false, Character.isHighSurrogate(piece.charAt(piece.length() - 1)));
    }
  }

  @Test
  void aStopStringMayEndInsideAToken() throws IOException {
    List<String> pieces = new ArrayList<>();
    GenerationResult result = say("one \uD83D\uDE00 two", List.of("\uD83D\uDE00 t"), pieces);
    assertEquals("one ", result.text());
    assertEquals("one ", String.join("", pieces));
    assertEquals(FinishReason.STOP, result.finishReason());
  }

  private static GenerationResult say(String answer, List<String> stops, List<String> pieces)
      throws IOException {
    Tokenizer tokenizer = TokenizerFiles.open(TestModels.books8m());
    int[] prompt = tokenizer.encode("x", true);
    int[] whole = tokenizer.encode("x" + answer, true);
    int[] said = Arrays.copyOfRange(whole, prompt.length, whole.length + 1);
    said[said.length - 1] = END;
    ModelConfig config = ModelConfig.read(TestModels.books8m());
    Engine engine = new ScriptedEngine(said, config.vocabSize());
    try (Model model = new Model(TestModels.books8m(), config, tokenizer, engine);
        Session session = model.newSession()) {
      return session.generate(
          Arrays.copyOf(whole, prompt.length),
          new GenerationParameters(100, SamplingParameters.GREEDY, stops),
          pieces::add);
    }
  }

  /** Says its lines, whatever it is asked. */
  private static final class ScriptedEngine implements Engine {
    private final int[] lines;
    private final int vocabSize;
    private int said;

    ScriptedEngine(int[] lines, int vocabSize) {
      this.lines = lines;
      this.vocabSize = vocabSize;
    }

    @Override
    public String device() {
      return "script";
    }

    @Override
    public int contextLength() {
      return 1000;
    }

    @Override
    public int maxSequences() {
      return 1;
    }

    @Override
    public int vocabSize() {
      return vocabSize;
    }

    @Override
    public MemoryPlan memory() {
      throw new UnsupportedOperationException();
    }

    @Override
    public Sequence open(SamplingParameters sampling) {
      return new Sequence() {
        @Override
        public int length() {
          return said;
        }

        @Override
        public void sampling(SamplingParameters parameters) {}

        @Override
        public void truncate(int length) {}

        @Override
        public void close() {}
      };
    }

    @Override
    public int prefill(Sequence sequence, int[] tokens) {
      return lines[said++];
    }

    @Override
    public void append(Sequence sequence, int[] tokens) {}

    @Override
    public void step(Sequence[] sequences, int count, int[] tokens) {
      tokens[0] = lines[said++];
    }

    @Override
    public void score(Sequence sequence, int[] tokens, LogitsSink sink) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }
}
