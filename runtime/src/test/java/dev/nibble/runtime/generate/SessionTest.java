package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.generate.GenerationResult.FinishReason;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class SessionTest {
  private static final int CONTEXT = 96;
  private static final int SESSIONS = 3;
  private static Model model;
  private static JsonNode golden;

  @BeforeAll
  static void load() throws IOException {
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(CONTEXT).withSequences(SESSIONS);
    model = Model.load(TestModels.books8m(), Device.cpu(), options);
    golden = TestModels.json(TestModels.resource("golden/books-8m.json")).get("prompts").get(0);
  }

  @AfterAll
  static void close() {
    model.close();
  }

  @Test
  void continuesAPromptAndStreamsTheSameText() {
    StringBuilder streamed = new StringBuilder();
    String prompt = golden.get("prompt").asText();
    try (Session session = model.newSession()) {
      GenerationResult result =
          session.generate(prompt, GenerationParameters.greedy(20), streamed::append);
      assertTrue(golden.get("greedy_text").asText().startsWith(prompt + result.text()));
      assertEquals(streamed.toString(), result.text());
      assertEquals(20, result.tokens().size());
      assertEquals(golden.get("ids").size(), result.promptTokens());
      assertEquals(FinishReason.LENGTH, result.finishReason());
    }
  }

  @Test
  void stopStringNeverLeaks() {
    String prompt = golden.get("prompt").asText();
    String whole = golden.get("greedy_text").asText().substring(prompt.length());
    String stop = whole.substring(30, 38);
    List<String> pieces = new ArrayList<>();
    try (Session session = model.newSession()) {
      GenerationResult result =
          session.generate(
              prompt,
              new GenerationParameters(60, SamplingParameters.GREEDY, List.of("zzz", stop)),
              pieces::add);
      assertEquals(FinishReason.STOP, result.finishReason());
      assertEquals(whole.substring(0, whole.indexOf(stop)), result.text());
      assertEquals(result.text(), String.join("", pieces));
      assertFalse(pieces.contains(""));
    }
  }

  @Test
  void aLaterTurnReusesTheCacheAndChangesNothing() {
    int[] ids = TestModels.ints(golden.get("ids"));
    GenerationParameters parameters = GenerationParameters.greedy(6);
    try (Session session = model.newSession();
        Session fresh = model.newSession()) {
      GenerationResult first = session.generate(ids, parameters, GenerationListener.NONE);
      int[] turn = new int[ids.length + 8];
      System.arraycopy(ids, 0, turn, 0, ids.length);
      for (int i = 0; i < 8; i++) {
        turn[ids.length + i] = i < 4 ? first.tokens().get(i) : 300 + i;
      }
      GenerationResult second = session.generate(turn, parameters, GenerationListener.NONE);
      assertEquals(ids.length + 4, second.cachedTokens());
      assertEquals(
          fresh.generate(turn, parameters, GenerationListener.NONE).tokens(), second.tokens());
      assertEquals(
          first.tokens(), session.generate(ids, parameters, GenerationListener.NONE).tokens());
    }
  }

  @Test
  void theListenerCancels() {
    try (Session session = model.newSession()) {
      StringBuilder streamed = new StringBuilder();
      GenerationResult result =
          session.generate(
              golden.get("prompt").asText(),
              GenerationParameters.greedy(60),
              text -> {
                streamed.append(text);
                if (streamed.length() > 10) {
                  session.cancel();
                }
              });
      assertEquals(FinishReason.CANCELLED, result.finishReason());
      assertEquals(streamed.toString(), result.text());
      assertTrue(result.tokens().size() < 20);
    }
  }

  @Test
  void anotherThreadCancelsAndCloses() throws Exception {
    CountDownLatch started = new CountDownLatch(1);
    Session session = model.newSession();
    try (ExecutorService pool = Executors.newSingleThreadExecutor()) {
      Future<GenerationResult> running =
          pool.submit(() ->
              session.generate(
                  golden.get("prompt").asText(),
                  GenerationParameters.greedy(1000),
                  text -> started.countDown()));
      started.await();
      session.close();
      assertEquals(FinishReason.CANCELLED, running.get().finishReason());
    }
    session.close();
    assertThrows(
        IllegalStateException.class,
        () -> session.generate("Once", GenerationParameters.greedy(1), GenerationListener.NONE));
  }

  @Test
  void sessionsOfSeveralThreadsEachSayTheirOwn() throws Exception {
    GenerationParameters parameters = GenerationParameters.greedy(12);
    List<String> prompts = List.of("The king", "A small dog", "In the morning");
    List<String> alone = new ArrayList<>();
    for (String prompt : prompts) {
      try (Session session = model.newSession()) {
        alone.add(session.generate(prompt, parameters, GenerationListener.NONE).text());
      }
    }
    try (ExecutorService pool = Executors.newFixedThreadPool(prompts.size())) {
      List<Future<String>> together = new ArrayList<>();
      for (String prompt : prompts) {
        together.add(
            pool.submit(() -> {
              try (Session session = model.newSession()) {
                return session.generate(prompt, parameters, GenerationListener.NONE).text();
              }
            }));
      }
      for (int i = 0; i < prompts.size(); i++) {
        assertEquals(alone.get(i), together.get(i).get());
      }
    }
  }

  @Test
  void theContextLimitsThePromptAndTheAnswer() {
    int[] ids = new int[CONTEXT];
    Arrays.fill(ids, 300);
    try (Session session = model.newSession()) {
      IllegalArgumentException refusal =
          assertThrows(
              IllegalArgumentException.class,
              () -> session.generate(ids, GenerationParameters.greedy(1), GenerationListener.NONE));
      assertTrue(refusal.getMessage().contains("context holds " + CONTEXT));
      GenerationResult result =
          session.generate(
              Arrays.copyOf(ids, CONTEXT - 5),
              GenerationParameters.greedy(50),
              GenerationListener.NONE);
      assertEquals(5, result.tokens().size());
      assertEquals(FinishReason.LENGTH, result.finishReason());
    }
  }

  @Test
  void noMoreSessionsThanSequences() {
    List<Session> sessions = new ArrayList<>();
    for (int i = 0; i < SESSIONS; i++) {
      sessions.add(model.newSession());
    }
    assertThrows(IllegalStateException.class, model::newSession);
    sessions.getFirst().close();
    sessions.set(0, model.newSession());
    sessions.forEach(Session::close);
  }

  @Test
  void aClosedModelFailsItsSessions() throws IOException {
    Model own =
        Model.load(TestModels.books8m(), Device.cpu(), ModelOptions.DEFAULT.withContextLength(32));
    Session session = own.newSession();
    own.close();
    own.close();
    assertThrows(
        IllegalStateException.class,
        () -> session.generate("Once", GenerationParameters.greedy(1), GenerationListener.NONE));
    session.close();
    assertThrows(IllegalStateException.class, own::newSession);
  }
}
