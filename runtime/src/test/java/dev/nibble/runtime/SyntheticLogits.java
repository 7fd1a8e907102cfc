package dev.nibble.runtime;

import static dev.nibble.runtime.SyntheticModel.EPSILON;
import static dev.nibble.runtime.SyntheticModel.HEADS;
import static dev.nibble.runtime.SyntheticModel.HEAD_DIM;
import static dev.nibble.runtime.SyntheticModel.HIDDEN;
import static dev.nibble.runtime.SyntheticModel.INTERMEDIATE;
import static dev.nibble.runtime.SyntheticModel.KV_HEADS;
import static dev.nibble.runtime.SyntheticModel.THETA;
import static dev.nibble.runtime.SyntheticModel.VOCAB;

import dev.nibble.runtime.SyntheticModel.Layer;
import java.util.List;
import java.util.stream.IntStream;

/** What a {@link SyntheticModel} computes, in double. */
final class SyntheticLogits {
  private final float[] embedding;
  private final List<Layer> layers;
  private final float[] finalNorm;
  private final SyntheticLinear head;

  SyntheticLogits(float[] embedding, List<Layer> layers, float[] finalNorm, SyntheticLinear head) {
    this.embedding = embedding;
    this.layers = layers;
    this.finalNorm = finalNorm;
    this.head = head;
  }

  /** Logits after each token, [tokens][vocab]. */
  double[][] of(int[] tokens) {
    double[][] x = new double[tokens.length][HIDDEN];
    for (int t = 0; t < tokens.length; t++) {
      for (int i = 0; i < HIDDEN; i++) {
        x[t][i] = embedding[tokens[t] * HIDDEN + i];
      }
    }
    for (Layer layer : layers) {
      attend(layer, x);
      for (double[] token : x) {
        double[] normed = gather(rmsNorm(token, layer.mlpNorm()), layer.mlpOrder());
        double[] gate = layer.linear("gate_proj").apply(normed);
        double[] up = layer.linear("up_proj").apply(normed);
        for (int i = 0; i < INTERMEDIATE; i++) {
          up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
        }
        add(token, layer.linear("down_proj").apply(up));
      }
    }
    double[][] logits = new double[tokens.length][];
    double[][] weights = head.dense();
    for (int t = 0; t < tokens.length; t++) {
      double[] normed = rmsNorm(x[t], finalNorm);
      logits[t] = new double[VOCAB];
      for (int n = 0; n < VOCAB; n++) {
        for (int k = 0; k < HIDDEN; k++) {
          logits[t][n] += weights[n][k] * normed[k];
        }
      }
    }
    return logits;
  }

  private void attend(Layer layer, double[][] x) {
    double[][] keys = new double[x.length][];
    double[][] values = new double[x.length][];
    for (int t = 0; t < x.length; t++) {
      double[] normed = gather(rmsNorm(x[t], layer.attentionNorm()), layer.attentionOrder());
      double[] query =
          rotate(layer.linear("q_proj").apply(normed), SyntheticModel.rowOrder(layer, HEADS), t);
      keys[t] =
          rotate(layer.linear("k_proj").apply(normed), SyntheticModel.rowOrder(layer, KV_HEADS), t);
      values[t] = layer.linear("v_proj").apply(normed);
      double[] mixed = new double[HEADS * HEAD_DIM];
      for (int h = 0; h < HEADS; h++) {
        int kv = h / (HEADS / KV_HEADS) * HEAD_DIM;
        double[] weights = new double[t + 1];
        double sum = 0;
        for (int s = 0; s <= t; s++) {
          double dot = 0;
          for (int i = 0; i < HEAD_DIM; i++) {
            dot += query[h * HEAD_DIM + i] * keys[s][kv + i];
          }
          weights[s] = Math.exp(dot / Math.sqrt(HEAD_DIM));
          sum += weights[s];
        }
        for (int s = 0; s <= t; s++) {
          for (int i = 0; i < HEAD_DIM; i++) {
            mixed[h * HEAD_DIM + i] += weights[s] / sum * values[s][kv + i];
          }
        }
      }
      add(x[t], layer.linear("o_proj").apply(mixed));
    }
  }

  /** Puts stored rows in the order of a plain model and turns them there. */
  private static double[] rotate(double[] stored, int[] rowOrder, int position) {
    double[] plain = new double[stored.length];
    for (int r = 0; r < stored.length; r++) {
      plain[rowOrder[r]] = stored[r];
    }
    double[] turned = new double[stored.length];
    int half = HEAD_DIM / 2;
    for (int first = 0; first < stored.length; first += HEAD_DIM) {
      for (int p = 0; p < half; p++) {
        double angle = position * Math.pow(THETA, -2.0 * p / HEAD_DIM);
        double a = plain[first + p];
        double b = plain[first + p + half];
        turned[first + p] = a * Math.cos(angle) - b * Math.sin(angle);
        turned[first + p + half] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
    return turned;
  }

  private static double[] rmsNorm(double[] x, float[] weight) {
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    double scale = 1 / Math.sqrt(squares / x.length + EPSILON);
    double[] normed = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      normed[i] = x[i] * scale * weight[i];
    }
    return normed;
  }

  private static double[] gather(double[] x, int[] order) {
    return IntStream.of(order).mapToDouble(i -> x[i]).toArray();
  }

  private static void add(double[] x, double[] y) {
    for (int i = 0; i < x.length; i++) {
      x[i] += y[i];
    }
  }
}
