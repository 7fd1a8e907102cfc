package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;

/**
 * The rotations of QuaRot (Ashkboos et al. 2024) and SpinQuant (Liu et al. 2024) that cost nothing
 * at run time: R1 of the residual stream, R2 of each head's values. Norm weights are folded into
 * the linears that read them. Where a norm subtracts the mean, R1 keeps it. Before R2 the channels
 * of the values are balanced against the columns that read them, as a rotation alone makes it worse
 * when one is large where the other is small. Not thread-safe.
 */
final class ModelRotation {
  private final ModelConfig config;
  private final FloatGemm gemm;
  private final float[] residual;
  private final float[] head;

  /**
   * Rotates by given matrices.
   *
   * @param residual R1, orthogonal, [hidden, hidden]
   * @param head R2, orthogonal, [headDim, headDim]
   */
  ModelRotation(ModelConfig config, double[] residual, double[] head, WorkerThreads workers) {
    this.config = config;
    gemm = new FloatGemm(workers);
    this.residual = floats(residual);
    this.head = floats(head);
  }

  /** Random rotations, which spread outliers. */
  static ModelRotation random(
      ModelConfig config, boolean centred, long seed, WorkerThreads workers) {
    Random random = new Random(seed);
    int hidden = config.hiddenSize();
    double[] residual =
        centred ? Orthogonal.fixingOnes(hidden, random) : Orthogonal.hadamard(hidden, random);
    return new ModelRotation(
        config, residual, Orthogonal.hadamard(config.headDim(), random), workers);
  }

  /** Rows of the residual stream [rows, hidden], such as embeddings: x R1. */
  float[] residual(float[] x) {
    return product(x, residual, config.hiddenSize());
  }

  /** Folds the norms of a block into its linears, and rotates it. */
  void rotate(TransformerBlock block) {
    fold(block, block.attentionNorm(), InputSite.ATTENTION);
    fold(block, block.mlpNorm(), InputSite.MLP);
    Rescaling.apply(block, InputSite.OUTPUT, balance(block));
    rotateValues(block.linear(LinearRole.VALUE));
    Parameters output = block.linear(LinearRole.OUTPUT);
    set(output.weight(), product(output.weight(), head, config.headDim()));
    for (LinearRole role : block.roles()) {
      Parameters linear = block.linear(role);
      switch (InputSite.of(role)) {
        case ATTENTION, MLP -> set(linear.weight(), residual(linear.weight()));
        case OUTPUT, DOWN -> {
          set(linear.weight(), turned(linear.weight(), residual, config.hiddenSize()));
          linear.bias().ifPresent(bias -> set(bias, residual(bias)));
        }
      }
    }
  }

  /** Leaves a norm without weight and bias of its own: W n g + W b is (W g) n + W b. */
  private static void fold(TransformerBlock block, Parameters norm, InputSite site) {
    int width = norm.weight().length;
    for (LinearRole role : block.roles()) {
      if (InputSite.of(role) == site) {
        Parameters linear = block.linear(role);
        float[] weight = linear.weight();
        if (norm.bias().isPresent()) {
          float[] bias = linear.biasOrZeros(weight.length / width);
          for (int row = 0; row < bias.length; row++) {
            bias[row] += (float) dot(weight, row * width, norm.bias().get());
          }
          block.setLinear(role, new Parameters(weight, Optional.of(bias)));
        }
        for (int i = 0; i < weight.length; i++) {
          weight[i] *= norm.weight()[i % width];
        }
      }
    }
    Arrays.fill(norm.weight(), 1f);
    norm.bias().ifPresent(bias -> Arrays.fill(bias, 0f));
  }

  private static double dot(float[] weight, int at, float[] bias) {
    double sum = 0;
    for (int i = 0; i < bias.length; i++) {
      sum += (double) weight[at + i] * bias[i];
    }
    return sum;
  }

  /** Scales that make a value's row as large as the columns that read it. */
  private float[] balance(TransformerBlock block) {
    float[] values = block.linear(LinearRole.VALUE).weight();
    float[] output = block.linear(LinearRole.OUTPUT).weight();
    int channels = config.rows(LinearRole.VALUE);
    int columns = config.columns(LinearRole.OUTPUT);
    float[] made = new float[channels];
    float[] read = new float[channels];
    int width = values.length / channels;
    for (int i = 0; i < values.length; i++) {
      made[i / width] = Math.max(made[i / width], Math.abs(values[i]));
    }
    for (int i = 0; i < output.length; i++) {
      int channel = Rescaling.scaleOf(config, InputSite.OUTPUT, i % columns);
      read[channel] = Math.max(read[channel], Math.abs(output[i]));
    }
    float[] scales = new float[channels];
    for (int c = 0; c < channels; c++) {
      scales[c] = made[c] > 0 && read[c] > 0 ? (float) Math.sqrt(made[c] / read[c]) : 1;
    }
    return scales;
  }

  private void rotateValues(Parameters values) {
    int headDim = config.headDim();
    int rows = config.rows(LinearRole.VALUE);
    int run = headDim * (values.weight().length / rows);
    for (int at = 0; at < values.weight().length; at += run) {
      float[] one = Arrays.copyOfRange(values.weight(), at, at + run);
      System.arraycopy(turned(one, head, headDim), 0, values.weight(), at, run);
    }
    values.bias().ifPresent(bias -> set(bias, product(bias, head, headDim)));
  }

  /** Each run of n elements, as a row, times a rotation. */
  private float[] product(float[] x, float[] rotation, int n) {
    float[] product = new float[x.length];
    gemm.multiply(
        FloatMatrix.of(x, x.length / n, n),
        FloatMatrix.of(rotation, n, n),
        FloatMatrix.of(product, x.length / n, n));
    return product;
  }

  /** A rotation's transpose times x [n, columns]. */
  private float[] turned(float[] x, float[] rotation, int n) {
    float[] product = new float[x.length];
    gemm.multiply(
        FloatMatrix.of(rotation, n, n).transposed(),
        FloatMatrix.of(x, n, x.length / n),
        FloatMatrix.of(product, n, x.length / n));
    return product;
  }

  private static void set(float[] to, float[] from) {
    System.arraycopy(from, 0, to, 0, to.length);
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }
}
