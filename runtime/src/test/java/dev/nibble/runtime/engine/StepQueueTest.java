package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.runtime.cuda.FakeDevice;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Steps on a device that computes little, however early or late it does. */
class StepQueueTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  /** A multiple of what caches are rounded to, so that a token more has no room. */
  private static final ModelOptions OPTIONS = new ModelOptions(32, 5, 1);

  /** What a draw moves the random numbers' state by. */
  private static final long GAMMA = 0x9e3779b97f4a7c15L;

  private static final int OPERATIONS = 5_000;

  private static final SamplingParameters[] RULES = {
    SamplingParameters.GREEDY,
    new SamplingParameters(1, 0, 1, 0, 1, 3),
    new SamplingParameters(0.7f, 40, 0.9f, 0.1f, 1, 4),
    // The host's work.
    new SamplingParameters(0, 0, 1, 0, 1.1f, 5)
  };

  /** When the device works. */
  private enum Pace {
    LATE,
    IMMEDIATE;

    FakeDevice device() {
      return switch (this) {
        case LATE -> FakeDevice.late();
        case IMMEDIATE -> FakeDevice.immediate();
      };
    }
  }

  /** A sequence, and what is known of it. */
  private static final class Told {
    private Sequence sequence;
    private SamplingParameters rule = SamplingParameters.GREEDY;
    private final int[] tokens = new int[OPTIONS.contextLength()];
    private int length;
    private long random;

    /** The token that was chosen, or one that the test chose. */
    private int next;

    Told(Sequence sequence) {
      this.sequence = sequence;
    }

    void rule(SamplingParameters sampling) {
      rule = sampling;
      random = sampling.seed();
      sequence.sampling(sampling);
    }

    void append(int token) {
      tokens[length++] = token;
    }

    void truncate(int kept) {
      length = kept;
      sequence.truncate(kept);
    }

    /** The token that must be chosen now; negative if there is none. */
    int choice(int vocab) {
      boolean draws = rule.temperature() > 0;
      int token = FakeDevice.choice(tokens, length, draws ? random + GAMMA : 0, vocab);
      random += draws && token >= 0 ? GAMMA : 0;
      return token;
    }
  }

  /** Steps that were foretold, among all else that can happen between them. */
  @ParameterizedTest
  @EnumSource
  void tokensFollowFromTheirSequenceAlone(Pace pace) throws IOException {
    Random random = new Random(SEED);
    try (CudaEngine engine = CudaEngineTest.engine(pace.device(), "llama3", OPTIONS)) {
      List<Told> all = new ArrayList<>();
      for (int i = 0; i < OPTIONS.sequences(); i++) {
        all.add(new Told(engine.open(SamplingParameters.GREEDY)));
      }
      int count = 1;
      for (int i = 0; i < OPERATIONS; i++) {
        String what = "operation " + i + ", -Dtests.seed=" + SEED;
        if (random.nextInt(3) == 0) {
          count = change(engine, random, all, count, what);
        }
        step(engine, random, all.subList(0, count), what);
      }
    }
  }

  /** What the device has of a row that rested is what it rested with. */
  @ParameterizedTest
  @EnumSource
  void aStepOfFewerIsNotOneOfMore(Pace pace) throws IOException {
    Random random = new Random(SEED);
    try (CudaEngine engine = CudaEngineTest.engine(pace.device(), "llama3", OPTIONS)) {
      List<Told> all = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        all.add(new Told(engine.open(SamplingParameters.GREEDY)));
        all.get(i).next = i;
      }
      step(engine, random, all, "three");
      step(engine, random, all.subList(0, 2), "two");
      step(engine, random, all.subList(0, 2), "two, and two under way");
      Told third = all.get(2);
      third.next = third.tokens[0];
      third.truncate(0);
      for (int i = 0; i < 3; i++) {
        step(engine, random, all, "three again " + i);
      }
    }
  }

  /** Makes the next step one that was not foretold. Returns its sequences. */
  private static int change(
      CudaEngine engine, Random random, List<Told> all, int count, String what) {
    Told one = all.get(random.nextInt(count));
    Told any = all.get(random.nextInt(all.size()));
    switch (random.nextInt(10)) {
      case 0 -> one.next = random.nextInt(engine.vocabSize());
      case 1 -> Collections.shuffle(all, random);
      case 2 -> any.truncate(random.nextInt(any.length + 1));
      case 8 -> {
        any.truncate(Math.max(any.length - 1, 0));
        any.next = any.tokens[any.length];
      }
      case 3 -> any.rule(RULES[random.nextInt(RULES.length)]);
      case 4 -> prompt(engine, random, any, what);
      case 5 -> {
        any.sequence.close();
        any.sequence = engine.open(SamplingParameters.GREEDY);
        any.length = 0;
        any.rule(RULES[random.nextInt(RULES.length)]);
      }
      case 6 -> {
        any.truncate(any.length / 2);
        int[] tokens = text(engine, random, any);
        engine.score(any.sequence, tokens, (_, _, _) -> {});
      }
      case 7 -> {
        any.truncate(any.length / 2);
        engine.append(any.sequence, text(engine, random, any));
      }
      default -> {
        return 1 + random.nextInt(all.size());
      }
    }
    return count;
  }

  /** Some tokens for a sequence, which it is known to have from now on. */
  private static int[] text(CudaEngine engine, Random random, Told told) {
    int[] tokens = random.ints(1 + random.nextInt(5), 0, engine.vocabSize()).toArray();
    for (int token : tokens) {
      told.append(token);
    }
    return tokens;
  }

  private static void prompt(CudaEngine engine, Random random, Told told, String what) {
    told.truncate(told.length / 2);
    int[] tokens = text(engine, random, told);
    int expected = told.choice(engine.vocabSize());
    if (expected < 0) {
      assertThrows(
          NonFiniteLogitsException.class, () -> engine.prefill(told.sequence, tokens), what);
    } else {
      told.next = engine.prefill(told.sequence, tokens);
      assertEquals(expected, told.next, what);
    }
  }

  private static void step(CudaEngine engine, Random random, List<Told> batch, String what) {
    for (Told told : batch) {
      if (told.length == OPTIONS.contextLength()) {
        told.truncate(random.nextInt(told.length));
      }
    }
    int[] tokens = batch.stream().mapToInt(told -> told.next).toArray();
    int[] expected = tokens.clone();
    boolean finite = true;
    for (int i = 0; i < tokens.length; i++) {
      batch.get(i).append(tokens[i]);
      int token = finite ? batch.get(i).choice(engine.vocabSize()) : -1;
      finite = token >= 0;
      expected[i] = finite ? token : expected[i];
    }
    Sequence[] sequences = batch.stream().map(told -> told.sequence).toArray(Sequence[]::new);
    if (finite) {
      engine.step(sequences, tokens.length, tokens);
    } else {
      assertThrows(
          NonFiniteLogitsException.class,
          () -> engine.step(sequences, tokens.length, tokens),
          what);
    }
    for (int i = 0; i < tokens.length; i++) {
      assertEquals(expected[i], tokens[i], what + ", row " + i);
      assertEquals(batch.get(i).length, sequences[i].length(), what + ", row " + i);
      // A token that nothing finite follows must not stay.
      batch.get(i).next = finite ? tokens[i] : random.nextInt(engine.vocabSize());
    }
  }
}
