package dev.nibble.runtime.engine;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Chooses tokens for one sequence: repetition penalty, temperature, top-k, top-p, min-p, in this
 * order, then one draw. Allocates nothing per token. Not thread-safe.
 */
final class Sampler {
  private final Scratch scratch;
  private SamplingParameters parameters = SamplingParameters.GREEDY;
  private SplittableRandom random = new SplittableRandom(0);

  Sampler(Scratch scratch) {
    this.scratch = scratch;
  }

  /** Takes parameters and starts the random numbers from their seed. */
  void start(SamplingParameters sampling) {
    parameters = sampling;
    random = new SplittableRandom(sampling.seed());
  }

  /**
   * Chooses a token.
   *
   * @param logits changed in place where a penalty applies
   * @param offset of the first logit
   * @param history tokens of the sequence
   * @param length how many
   * @throws NonFiniteLogitsException if a logit is not a finite number
   */
  int sample(float[] logits, int offset, int[] history, int length) {
    int vocab = scratch.ids.length;
    requireFinite(logits, offset, vocab, length - 1);
    if (parameters.repetitionPenalty() != 1f) {
      penalize(logits, offset, history, length);
    }
    int best = argmax(logits, offset, vocab);
    return parameters.temperature() == 0f ? best : draw(logits, offset, best);
  }

  /** Index of the largest of some logits, the smallest among equals. */
  static int argmax(float[] logits, int offset, int count) {
    int best = 0;
    for (int id = 1; id < count; id++) {
      if (logits[offset + id] > logits[offset + best]) {
        best = id;
      }
    }
    return best;
  }

  /** Refuses logits that are not numbers. */
  static void requireFinite(float[] logits, int offset, int count, int position) {
    boolean finite = true;
    for (int id = 0; id < count; id++) {
      finite &= Math.abs(logits[offset + id]) <= Float.MAX_VALUE;
    }
    if (!finite) {
      throw new NonFiniteLogitsException(position);
    }
  }

  private void penalize(float[] logits, int offset, int[] history, int length) {
    float penalty = parameters.repetitionPenalty();
    long[] seen = scratch.seen;
    Arrays.fill(seen, 0L);
    for (int i = 0; i < length; i++) {
      int id = history[i];
      long bit = 1L << id;
      if ((seen[id >> 6] & bit) == 0) {
        seen[id >> 6] |= bit;
        float logit = logits[offset + id];
        logits[offset + id] = logit > 0 ? logit / penalty : logit * penalty;
      }
    }
  }

  private int draw(float[] logits, int offset, int best) {
    int vocab = scratch.ids.length;
    double[] weights = scratch.weights;
    double total = 0;
    for (int id = 0; id < vocab; id++) {
      weights[id] =
          Math.exp(
              ((double) logits[offset + id] - logits[offset + best]) / parameters.temperature());
      total += weights[id];
    }
    boolean sorted = parameters.topP() < 1f || (parameters.topK() > 0 && parameters.topK() < vocab);
    return sorted ? drawMostLikely() : drawAny(total, best);
  }

  /** Without top-k and top-p no order is needed. */
  private int drawAny(double total, int best) {
    double[] weights = scratch.weights;
    double kept = total;
    double least = parameters.minP();
    if (least > 0) {
      kept = 0;
      for (double weight : weights) {
        kept += weight >= least ? weight : 0;
      }
    }
    double point = random.nextDouble() * kept;
    for (int id = 0; id < weights.length; id++) {
      if (weights[id] >= least) {
        point -= weights[id];
        if (point < 0) {
          return id;
        }
      }
    }
    return best;
  }

  private int drawMostLikely() {
    int count = scratch.heapify();
    int most = parameters.topK() == 0 ? count : Math.min(parameters.topK(), count);
    // Taking from the heap fills the end of ids from the back, most likely first.
    double mass = 0;
    if (parameters.topK() > 0) {
      for (int i = 0; i < most; i++) {
        mass += scratch.weights[scratch.take(count - i)];
      }
    } else {
      for (double weight : scratch.weights) {
        mass += weight;
      }
    }
    double enough = parameters.topP() * mass;
    double kept = 0;
    int taken = 0;
    while (taken < most && (taken == 0 || kept < enough)) {
      int at = count - 1 - taken;
      int id = parameters.topK() > 0 ? scratch.ids[at] : scratch.take(count - taken);
      double weight = scratch.weights[id];
      if (taken > 0 && weight < parameters.minP()) {
        break;
      }
      kept += weight;
      taken++;
    }
    double point = random.nextDouble() * kept;
    for (int i = 0; i < taken; i++) {
      int id = scratch.ids[count - 1 - i];
      point -= scratch.weights[id];
      if (point < 0) {
        return id;
      }
    }
    return scratch.ids[count - 1];
  }

  /** Room for one draw, shared by the samplers of an engine. */
  static final class Scratch {
    private final int[] ids;
    private final double[] weights;
    private final long[] seen;

    Scratch(int vocab) {
      ids = new int[vocab];
      weights = new double[vocab];
      seen = new long[Math.ceilDiv(vocab, Long.SIZE)];
    }

    /** Orders all ids as a heap, the most likely on top. Returns how many there are. */
    private int heapify() {
      for (int i = 0; i < ids.length; i++) {
        ids[i] = i;
      }
      for (int i = ids.length / 2 - 1; i >= 0; i--) {
        sink(i, ids.length);
      }
      return ids.length;
    }

    /** Moves the top of a heap of some size behind it and returns it. */
    private int take(int size) {
      int top = ids[0];
      ids[0] = ids[size - 1];
      ids[size - 1] = top;
      sink(0, size - 1);
      return top;
    }

    private void sink(int from, int size) {
      int parent = from;
      int id = ids[parent];
      for (int child = 2 * parent + 1; child < size; child = 2 * parent + 1) {
        if (child + 1 < size && before(ids[child + 1], ids[child])) {
          child++;
        }
        if (!before(ids[child], id)) {
          break;
        }
        ids[parent] = ids[child];
        parent = child;
      }
      ids[parent] = id;
    }

    private boolean before(int a, int b) {
      return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
    }
  }
}
