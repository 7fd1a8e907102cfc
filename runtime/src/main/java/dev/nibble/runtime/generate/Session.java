package dev.nibble.runtime.generate;

import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.generate.GenerationResult.FinishReason;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One sequence and its key-value cache. Each call takes the whole text so far: the tokens it shares
 * with the cache are not computed again, so a conversation costs its new turn only. One thread
 * generates at a time; {@link #cancel} and {@link #close} may come from any thread.
 */
public final class Session implements AutoCloseable {
  /** Tokens of a prompt between two looks at {@link #cancelled}. */
  private static final int PROMPT_PART = 512;

  private final Model model;
  private final Sequence sequence;
  private final ReentrantLock generating = new ReentrantLock();
  private final Sequence[] batch;
  private final int[] token = new int[1];

  /** Tokens in the cache; those beyond the sequence's length are stale. */
  private final int[] history;

  private volatile boolean cancelled;
  private volatile boolean closed;

  Session(Model model, Sequence sequence) {
    this.model = model;
    this.sequence = sequence;
    batch = new Sequence[] {sequence};
    history = new int[model.contextLength()];
  }

  /**
   * Continues a text. The model's beginning-of-text token is put in front.
   *
   * @param prompt the whole text so far
   * @param parameters length, sampling, stop strings
   * @param listener receives the text as it comes
   * @return what was generated
   * @throws IllegalArgumentException if the prompt has no tokens or leaves no room in the context
   * @throws IllegalStateException if the session or the model is closed, or another thread
   *     generates in this session
   */
  public GenerationResult generate(
      String prompt, GenerationParameters parameters, GenerationListener listener) {
    return generate(model.tokenizer().encode(prompt, true), parameters, listener);
  }

  /**
   * Continues tokens, such as an encoded conversation.
   *
   * @param prompt the ids of the whole text so far
   * @param parameters length, sampling, stop strings
   * @param listener receives the text as it comes
   * @return what was generated
   * @throws IllegalArgumentException if there are none, one is outside the vocabulary, or they
   *     leave no room in the context
   * @throws IllegalStateException if the session or the model is closed, or another thread
   *     generates in this session
   */
  public GenerationResult generate(
      int[] prompt, GenerationParameters parameters, GenerationListener listener) {
    if (!generating.tryLock()) {
      throw new IllegalStateException("another thread generates in this session");
    }
    try {
      if (closed) {
        throw new IllegalStateException("the session is closed");
      }
      cancelled = false;
      check(prompt);
      return run(prompt, parameters, listener);
    } finally {
      generating.unlock();
    }
  }

  private void check(int[] prompt) {
    if (prompt.length == 0) {
      throw new IllegalArgumentException("the prompt is empty");
    }
    if (prompt.length >= model.contextLength()) {
      throw new IllegalArgumentException(
          "the prompt has "
              + prompt.length
              + " tokens and the context holds "
              + model.contextLength()
              + ": shorten it or raise the context");
    }
    for (int id : prompt) {
      if (id < 0 || id >= model.config().vocabSize()) {
        throw new IllegalArgumentException(
            "token id " + id + ": the vocabulary has " + model.config().vocabSize() + " tokens");
      }
    }
  }

  private GenerationResult run(
      int[] prompt, GenerationParameters parameters, GenerationListener listener) {
    long start = System.nanoTime();
    int cachedTokens = commonPrefix(prompt);
    Output output = new Output(prompt, parameters, listener);
    boolean prefilled = prefill(prompt, cachedTokens, parameters.sampling());
    long first = System.nanoTime();
    FinishReason reason =
        prefilled ? decode(prompt.length, parameters.maxTokens(), output) : FinishReason.CANCELLED;
    return new GenerationResult(
        output.text.toString(),
        Arrays.stream(output.tokens, 0, output.count).boxed().toList(),
        prompt.length,
        cachedTokens,
        reason,
        first - start,
        System.nanoTime() - first);
  }

  /** Tokens of a prompt that are in the cache, short of its last: that one gives the logits. */
  private int commonPrefix(int[] prompt) {
    int most = Math.min(sequence.length(), prompt.length - 1);
    int mismatch = Arrays.mismatch(history, 0, most, prompt, 0, most);
    return mismatch < 0 ? most : mismatch;
  }

  /** Fills the cache and samples the first token. Returns false when cancelled. */
  private boolean prefill(int[] prompt, int from, SamplingParameters sampling) {
    sequence.truncate(from);
    sequence.sampling(sampling);
    System.arraycopy(prompt, from, history, from, prompt.length - from);
    for (int at = from; ; at += PROMPT_PART) {
      if (cancelled) {
        return false;
      }
      if (prompt.length - at <= PROMPT_PART) {
        token[0] = model.prefill(sequence, Arrays.copyOfRange(prompt, at, prompt.length));
        return true;
      }
      model.append(sequence, Arrays.copyOfRange(prompt, at, at + PROMPT_PART));
    }
  }

  private FinishReason decode(int promptTokens, int maxTokens, Output output) {
    int most = Math.min(maxTokens, model.contextLength() - promptTokens);
    for (int generated = 1; ; generated++) {
      if (cancelled) {
        return FinishReason.CANCELLED;
      }
      output.add(token[0]);
      if (model.ends(token[0])) {
        output.finish();
        return FinishReason.STOP;
      }
      output.next(token[0]);
      if (output.stops.stopped()) {
        return FinishReason.STOP;
      }
      if (generated == most) {
        output.finish();
        return output.stops.stopped() ? FinishReason.STOP : FinishReason.LENGTH;
      }
      if (cancelled) {
        return FinishReason.CANCELLED;
      }
      history[sequence.length()] = token[0];
      model.step(batch, token);
    }
  }

  /**
   * Ends the generation under way at its next token; it returns with {@link
   * GenerationResult.FinishReason#CANCELLED}. Without one, does nothing.
   */
  public void cancel() {
    cancelled = true;
  }

  /**
   * Gives the cache back, after cancelling a generation under way and waiting for it; closing twice
   * does nothing.
   */
  @Override
  public void close() {
    closed = true;
    cancelled = true;
    generating.lock();
    try {
      model.release(sequence);
    } finally {
      generating.unlock();
    }
  }

  /** Text and tokens of one generation. */
  private final class Output {
    final int[] tokens;
    int count;
    final StringBuilder text = new StringBuilder();
    final StopScanner stops;
    private final Tokenizer.StreamingDecoder decoder;
    private final GenerationListener listener;

    Output(int[] prompt, GenerationParameters parameters, GenerationListener listener) {
      this.listener = listener;
      tokens = new int[Math.min(parameters.maxTokens(), model.contextLength())];
      stops = new StopScanner(parameters.stop());
      decoder = model.tokenizer().newDecoder();
      // The prompt goes first so that spaces between it and the answer are kept.
      for (int id : prompt) {
        decoded(id);
      }
    }

    /** A head may be padded past the tokenizer's last id; such a token has no text. */
    private String decoded(int id) {
      return id < model.tokenizer().vocabSize() ? decoder.next(id) : "";
    }

    void add(int id) {
      tokens[count++] = id;
    }

    void next(int id) {
      emit(stops.next(decoded(id)));
    }

    void finish() {
      emit(stops.next(decoder.finish()));
      if (!stops.stopped()) {
        emit(stops.finish());
      }
    }

    private void emit(String piece) {
      if (!piece.isEmpty()) {
        text.append(piece);
        listener.text(piece);
      }
    }
  }
}
