package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.QuantizedActivations;
import dev.nibble.quantizer.tensor.RotaryEmbedding;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.model.Block;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Operations of the CPU that round to halves where a GPU's kernels do, by the kernels' formulas and
 * orders of sums; powers and exponentials alone may differ from its, by a last bit or two. So codes
 * that lie on a rounding edge fall the same way, and a GPU's logits have an oracle however few bits
 * the codes have.
 *
 * <p>For a prompt weights become halves before a product, unless the inputs are codes and a row has
 * one scale; queries, keys, values, gate and up are stored as halves, and inputs that are no codes
 * are read as such. A decode step, which one token is taken for, multiplies weights as they are,
 * and does not round what its own norm gives, nor gate and up if they read one input.
 */
class HalfOperations implements TensorOperations {
  private static final float[] NOTHING = {};

  private final TensorOperations exact = new ScalarOperations();
  private final HalfAttention attention;
  private final boolean codesInputs;
  private final int inner;
  private final WeightMatrix head;

  /** What the linears of blocks are for, by their weights. */
  private final IdentityHashMap<WeightMatrix, Role> roles = new IdentityHashMap<>();

  private final Set<float[]> biases = Collections.newSetFromMap(new IdentityHashMap<>());

  /** What a product was last stored in as halves. */
  private float[] stored = NOTHING;

  /** What codes were last restored in. */
  private float[] restored = NOTHING;

  private InputCodes codes = InputCodes.NONE;

  /** Where a linear's result goes. */
  private enum Target {
    HEADS,
    MLP,
    RESIDUAL
  }

  private record Role(Linear linear, Target target) {
    boolean keepsColumns() {
      return linear.outlierColumns().isPresent();
    }
  }

  HalfOperations(ModelWeights weights) {
    attention = new HalfAttention(weights.config().headDim());
    codesInputs = weights.config().scheme().quantizesActivations();
    inner = weights.config().intermediateSize();
    head = weights.head().weights();
    for (Block block : weights.blocks()) {
      put(Target.HEADS, Stream.of(block.query(), block.key(), block.value()));
      put(Target.MLP, Stream.concat(block.gate().stream(), Stream.of(block.up())));
      put(Target.RESIDUAL, Stream.of(block.output(), block.down()));
    }
  }

  private void put(Target target, Stream<Linear> linears) {
    linears.forEach(linear -> {
      roles.put(linear.weights(), new Role(linear, target));
      linear.bias().ifPresent(biases::add);
    });
  }

  /** An engine of the CPU that computes with them. */
  static CpuEngine engine(Path model, ModelOptions options) throws IOException {
    ModelWeights weights = ModelWeights.of(Checkpoint.open(model));
    return CpuEngine.create(weights, options, new HalfOperations(weights));
  }

  private static void round(float[] x, int from, int count) {
    for (int i = from; i < from + count; i++) {
      x[i] = TensorCore.Halves.round(x[i]);
    }
  }

  @Override
  public String name() {
    return "halves, " + exact.name();
  }

  @Override
  public PreparedMatrix prepare(WeightMatrix weights, Arena arena) {
    Role role = roles.get(weights);
    return HalfMatrix.of(weights, role == null ? null : role.linear.bias().orElse(null));
  }

  @Override
  public void matmul(float[] x, int xOffset, int tokens, PreparedMatrix w, float[] y, int yOffset) {
    HalfMatrix matrix = (HalfMatrix) w;
    if (x == restored) {
      matrix.multiply(codes, y, yOffset);
    } else {
      float[] input = Arrays.copyOfRange(x, xOffset, xOffset + tokens * w.columns());
      if (tokens > 1 || !isBehindNorm(matrix.source())) {
        round(input, 0, input.length);
      }
      matrix.multiply(input, tokens, y, yOffset);
    }
    store(matrix, tokens, y, yOffset);
  }

  /** Whether a decode step's product reads what its own norm gives, which is no half. */
  private boolean isBehindNorm(WeightMatrix weights) {
    Role role = roles.get(weights);
    return role == null ? weights == head : role.target != Target.RESIDUAL && !role.keepsColumns();
  }

  @Override
  public void matmul(QuantizedActivations x, PreparedMatrix w, float[] y, int yOffset) {
    HalfMatrix matrix = (HalfMatrix) w;
    matrix.multiply(codes, y, yOffset);
    store(matrix, codes.tokens(), y, yOffset);
  }

  /** Rounds what is stored as halves; in a decode step after all that is added. */
  private void store(HalfMatrix matrix, int tokens, float[] y, int yOffset) {
    Role role = roles.get(matrix.source());
    if (role == null) {
      return;
    }
    boolean step = tokens == 1;
    boolean halves =
        switch (role.target) {
          case HEADS -> true;
          case MLP -> !step || (codesInputs && role.keepsColumns());
          case RESIDUAL -> false;
        };
    stored = halves ? y : NOTHING;
    if (halves && !(step && role.keepsColumns())) {
      round(y, yOffset, tokens * matrix.rows());
    }
  }

  /** What columns kept at 16 bits add makes other halves. */
  @Override
  public void add(float[] x, float[] y, int length) {
    exact.add(x, y, length);
    if (x == stored) {
      round(x, 0, length);
    }
  }

  /** Those of linears are in their products. */
  @Override
  public void addBias(float[] x, int rows, float[] bias) {
    if (!biases.contains(bias)) {
      exact.addBias(x, rows, bias);
    }
  }

  @Override
  public void quantize(float[] x, int xOffset, int tokens, QuantizedActivations out) {
    codes = InputCodes.ofTokens(x, xOffset, tokens, out.width(), out.bits());
  }

  @Override
  public void quantizeStatic(
      float[] x,
      int xOffset,
      int tokens,
      int bits,
      float[] clusterScales,
      int[] clusterZeros,
      QuantizedActivations out) {
    codes =
        InputCodes.ofClusters(x, xOffset, tokens, out.width(), bits, clusterScales, clusterZeros);
  }

  @Override
  public void fakeQuantize(float[] x, int offset, int runs, int width, int bits) {
    codes = InputCodes.ofTokens(x, offset, runs, width, bits);
    restored = x;
    exact.fakeQuantize(x, offset, runs, width, bits);
  }

  @Override
  public void rmsNorm(float[] x, int offset, int rows, float[] weight, float epsilon, float[] y) {
    for (int r = 0; r < rows; r++) {
      BlockNorm.rms(x, offset + r * weight.length, weight, epsilon, y);
    }
  }

  @Override
  public void layerNorm(
      float[] x, int offset, int rows, float[] weight, float[] bias, float epsilon, float[] y) {
    for (int r = 0; r < rows; r++) {
      BlockNorm.layer(x, offset + r * weight.length, weight, bias, epsilon, y);
    }
  }

  /** By the cosines and sines that (1, 0) turns to. */
  @Override
  public void rope(float[] x, int tokens, int heads, RotaryEmbedding rope, int[] positions) {
    int headDim = rope.headDim();
    int half = headDim / 2;
    float[] turned = new float[tokens * heads * headDim];
    for (int first = 0; first < turned.length; first += headDim) {
      Arrays.fill(turned, first, first + half, 1);
    }
    exact.rope(turned, tokens, heads, rope, positions);
    for (int first = 0; first < turned.length; first += headDim) {
      for (int i = first; i < first + half; i++) {
        float a = x[i];
        float b = x[i + half];
        float cosine = turned[i];
        float sine = turned[i + half];
        x[i] = Math.fma(a, cosine, -(b * sine));
        x[i + half] = Math.fma(a, sine, b * cosine);
      }
    }
  }

  /** A decode step stores the product as halves, a prompt what codes are not made of at once. */
  @Override
  public void swiGlu(float[] gate, float[] up, int length) {
    for (int i = 0; i < length; i++) {
      gate[i] = gate[i] / (1 + (float) Math.exp(-gate[i])) * up[i];
    }
    if (length == inner) {
      round(gate, 0, length);
    }
  }

  @Override
  public void gelu(float[] x, int length) {
    exact.gelu(x, length);
  }

  @Override
  public void relu(float[] x, int length) {
    exact.relu(x, length);
  }

  @Override
  public void softmax(float[] x, int offset, int rows, int width) {
    exact.softmax(x, offset, rows, width);
  }

  @Override
  public void append(
      KvLayer cache, int position, float[] keys, float[] values, int offset, int tokens) {
    attention.append(cache, position, keys, values, offset, tokens);
  }

  @Override
  public void attention(
      float[] q,
      int offset,
      int tokens,
      int heads,
      KvLayer cache,
      int position,
      int window,
      float[] out) {
    attention.attend(q, offset, tokens, heads, cache, position, window, out);
  }

  @Override
  public void close() {
    exact.close();
  }
}
