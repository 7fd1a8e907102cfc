package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.tensor.CausalAttention;
import dev.nibble.quantizer.tensor.FakeQuantizer;
import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.GatedUnit;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.Rotation;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of a block over some windows, every intermediate kept for the gradient. All
 * arrays are [tokens, channels], tokens = windows x context. Every value depends on its own window
 * alone. Not thread-safe.
 */
final class BlockPass {
  final ModelConfig config;
  final int context;
  final int tokens;
  final WorkerThreads workers;
  final FloatGemm gemm;
  final CausalAttention attention;
  final @Nullable Rotation queryRotation;
  final @Nullable Rotation keyRotation;

  /** The block's input. */
  final float[] x;

  /** Outputs of the norms, and as the linears read them. */
  final float[] normed;

  final float[] attentionInput;

  /** Before head norms and RoPE. */
  final float[] rawQuery;

  final float[] rawKey;

  /** Before rounding. */
  final float[] query;

  final float[] key;
  final float[] value;

  /** As attention reads them, where they are rounded. */
  final float[] roundedQuery;

  final float[] roundedKey;
  final float[] roundedValue;
  final float[] attended;
  final float[] outputInput;
  final float[] logSums;

  /** The residual stream between attention and MLP. */
  final float[] middle;

  final float[] mlpNormed;
  final float[] mlpInput;
  final float[] gate;
  final float[] up;
  final float[] activated;
  final float[] downInput;

  /** The block's output. */
  final float[] y;

  BlockPass(ModelConfig config, int reach, int context, int windows, WorkerThreads workers) {
    this.config = config;
    this.context = context;
    this.workers = workers;
    gemm = new FloatGemm(workers);
    tokens = Math.multiplyExact(windows, context);
    attention =
        new CausalAttention(
            workers, context, config.heads(), config.kvHeads(), config.headDim(), reach);
    Optional<RotaryEmbedding> rope =
        config.rope().map(r -> new RotaryEmbedding(r, config.headDim(), context));
    queryRotation = rope.map(r -> new Rotation(r, context, config.heads())).orElse(null);
    keyRotation = rope.map(r -> new Rotation(r, context, config.kvHeads())).orElse(null);
    x = array(config.hiddenSize());
    normed = array(config.hiddenSize());
    attentionInput = array(config.hiddenSize());
    query = array(config.rows(LinearRole.QUERY));
    key = array(config.rows(LinearRole.KEY));
    value = array(config.rows(LinearRole.VALUE));
    roundedQuery = array(config.rows(LinearRole.QUERY));
    roundedKey = array(config.rows(LinearRole.KEY));
    roundedValue = array(config.rows(LinearRole.VALUE));
    rawQuery = array(config.rows(LinearRole.QUERY));
    rawKey = array(config.rows(LinearRole.KEY));
    attended = array(config.columns(LinearRole.OUTPUT));
    outputInput = array(config.columns(LinearRole.OUTPUT));
    logSums = array(config.heads());
    middle = array(config.hiddenSize());
    mlpNormed = array(config.hiddenSize());
    mlpInput = array(config.hiddenSize());
    gate = array(config.activation() == Activation.SILU ? config.intermediateSize() : 0);
    up = array(config.intermediateSize());
    activated = array(config.intermediateSize());
    downInput = array(config.intermediateSize());
    y = array(config.hiddenSize());
  }

  private float[] array(int width) {
    return new float[Math.multiplyExact(tokens, width)];
  }

  /** The array a site's linears read. */
  float[] input(InputSite site) {
    return switch (site) {
      case ATTENTION -> attentionInput;
      case OUTPUT -> outputInput;
      case MLP -> mlpInput;
      case DOWN -> downInput;
    };
  }

  /** A site's inputs before they are rounded. */
  float[] rawInput(InputSite site) {
    return switch (site) {
      case ATTENTION -> normed;
      case OUTPUT -> attended;
      case MLP -> mlpNormed;
      case DOWN -> activated;
    };
  }

  /** Runs x through the block, as far as {@code last}'s inputs or, when it is null, to y. */
  void forward(
      TransformerBlock block, BlockPrecision precision, int rows, @Nullable InputSite last) {
    for (InputSite site : InputSite.values()) {
      reach(site, block, precision, rows);
      if (site == last) {
        return;
      }
    }
    finish(block, rows);
  }

  /** From the inputs of the site before, or from x, to those of a site. */
  void reach(InputSite site, TransformerBlock block, BlockPrecision precision, int rows) {
    switch (site) {
      case ATTENTION -> norm(block, block.attentionNorm(), x, normed, rows);
      case OUTPUT -> attend(block, precision, rows);
      case MLP -> {
        linear(block, LinearRole.OUTPUT, outputInput, middle, rows);
        sum(middle, x, rows);
        norm(block, block.mlpNorm(), middle, mlpNormed, rows);
      }
      case DOWN -> {
        linear(block, LinearRole.UP, mlpInput, up, rows);
        activate(block, rows);
      }
    }
    round(site, precision, rows);
  }

  /** From {@link #middle} to the inputs of the last site. */
  void reachDown(TransformerBlock block, BlockPrecision precision, int rows) {
    norm(block, block.mlpNorm(), middle, mlpNormed, rows);
    round(InputSite.MLP, precision, rows);
    reach(InputSite.DOWN, block, precision, rows);
  }

  /** From the inputs of the last site to y. */
  void finish(TransformerBlock block, int rows) {
    linear(block, LinearRole.DOWN, downInput, y, rows);
    sum(y, middle, rows);
  }

  private void attend(TransformerBlock block, BlockPrecision precision, int rows) {
    linear(block, LinearRole.QUERY, attentionInput, rawQuery, rows);
    linear(block, LinearRole.KEY, attentionInput, rawKey, rows);
    linear(block, LinearRole.VALUE, attentionInput, value, rows);
    int headDim = config.headDim();
    int heads = config.heads();
    int kvHeads = config.kvHeads();
    workers.run(
        rows,
        (from, to, worker) -> {
          turn(block.queryNorm(), rawQuery, query, heads, queryRotation, from, to);
          turn(block.keyNorm(), rawKey, key, kvHeads, keyRotation, from, to);
          if (precision.queryBits() < 16) {
            int bits = precision.queryBits();
            FakeQuantizer.runs(query, from * heads, to * heads, headDim, bits, roundedQuery);
          }
          if (precision.kvBits() < 16) {
            int first = from * kvHeads;
            int end = to * kvHeads;
            int bits = precision.kvBits();
            FakeQuantizer.cachedRuns(key, first, end, headDim, bits, roundedKey);
            FakeQuantizer.cachedRuns(value, first, end, headDim, bits, roundedValue);
          }
        });
    attention.forward(
        queries(precision), keys(precision), values(precision), rows / context, attended, logSums);
  }

  /** What attention reads. */
  float[] queries(BlockPrecision precision) {
    return precision.queryBits() < 16 ? roundedQuery : query;
  }

  /** As {@link #queries}. */
  float[] keys(BlockPrecision precision) {
    return precision.kvBits() < 16 ? roundedKey : key;
  }

  /** As {@link #queries}. */
  float[] values(BlockPrecision precision) {
    return precision.kvBits() < 16 ? roundedValue : value;
  }

  /** Head norm and RoPE of some rows. */
  private void turn(
      Optional<float[]> norm,
      float[] raw,
      float[] out,
      int heads,
      @Nullable Rotation rotation,
      int from,
      int to) {
    int headDim = config.headDim();
    int width = heads * headDim;
    if (norm.isPresent()) {
      RowNorm.rms(raw, from * heads, to * heads, norm.get(), config.normEpsilon(), out);
    } else {
      System.arraycopy(raw, from * width, out, from * width, (to - from) * width);
    }
    if (rotation != null) {
      rotation.forward(out, from, to);
    }
  }

  private void activate(TransformerBlock block, int rows) {
    int width = config.intermediateSize();
    switch (config.activation()) {
      case SILU -> {
        linear(block, LinearRole.GATE, mlpInput, gate, rows);
        workers.run(
            rows,
            (from, to, worker) -> GatedUnit.forward(gate, up, activated, from * width, to * width));
      }
      case RELU ->
          workers.run(
              rows,
              (from, to, worker) -> {
                for (int i = from * width; i < to * width; i++) {
                  activated[i] = Math.max(0f, up[i]);
                }
              });
      case GELU ->
          workers.run(
              rows,
              (from, to, worker) -> {
                for (int i = from * width; i < to * width; i++) {
                  activated[i] = Gelu.value(up[i]);
                }
              });
    }
  }

  private void norm(TransformerBlock block, Parameters norm, float[] in, float[] out, int rows) {
    float epsilon = config.normEpsilon();
    workers.run(
        rows,
        (from, to, worker) -> {
          if (block.centresNorms()) {
            RowNorm.layer(in, from, to, norm.weight(), epsilon, out);
          } else {
            RowNorm.rms(in, from, to, norm.weight(), epsilon, out);
          }
          norm.bias().ifPresent(bias -> addBias(out, bias, from, to));
        });
  }

  private void round(InputSite site, BlockPrecision precision, int rows) {
    InputQuantizer quantizer = precision.input(site);
    int width = site.width(config);
    workers.run(
        rows,
        (from, to, worker) -> quantizer.quantize(rawInput(site), from, to, width, input(site)));
  }

  private void linear(TransformerBlock block, LinearRole role, float[] in, float[] out, int rows) {
    Parameters linear = block.linear(role);
    int width = config.rows(role);
    int columns = config.columns(role);
    gemm.multiply(
        FloatMatrix.of(in, rows, columns),
        FloatMatrix.of(linear.weight(), width, columns).transposed(),
        FloatMatrix.of(out, rows, width));
    linear
        .bias()
        .ifPresent(bias -> workers.run(rows, (from, to, worker) -> addBias(out, bias, from, to)));
  }

  private void sum(float[] to, float[] x, int rows) {
    int width = config.hiddenSize();
    workers.run(
        rows,
        (first, end, worker) -> {
          for (int i = first * width; i < end * width; i++) {
            to[i] += x[i];
          }
        });
  }

  static void addBias(float[] x, float[] bias, int from, int to) {
    for (int row = from; row < to; row++) {
      int at = row * bias.length;
      for (int i = 0; i < bias.length; i++) {
        x[at + i] += bias[i];
      }
    }
  }
}
