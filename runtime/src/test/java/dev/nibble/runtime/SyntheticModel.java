package dev.nibble.runtime;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.TensorInfo;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;

/**
 * A tiny LLaMA made of {@link SyntheticLinear}s, with columns and RoPE pairs in random order.
 * Writes itself as a packed folder and as the dense folder that computes the same.
 */
public final class SyntheticModel {
  static final int HIDDEN = 160;
  static final int INTERMEDIATE = 224;
  static final int HEADS = 6;
  static final int KV_HEADS = 2;
  static final int HEAD_DIM = 32;
  private static final int LAYERS = 2;
  static final int VOCAB = 97;
  static final double EPSILON = 1e-5;
  static final double THETA = 10_000;

  private final QuantScheme scheme;
  private final Inputs inputs;
  private final Outliers outliers;
  private final Random random;
  private final float[] embedding;
  private final float[] finalNorm;
  private final List<Layer> layers = new ArrayList<>();
  private final SyntheticLinear head;

  /** The parts of a block; orders are those of the packed format. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Layer(
      float[] attentionNorm,
      int[] attentionOrder,
      int[][] ropeOrder,
      float[] mlpNorm,
      int[] mlpOrder,
      Map<String, SyntheticLinear> linears) {
    SyntheticLinear linear(String name) {
      return Objects.requireNonNull(linears.get(name));
    }
  }

  /** Makes a model; static clusters need a scheme with g32 and quantized activations. */
  public SyntheticModel(QuantScheme scheme, long seed) {
    this(scheme, seed, Inputs.AS_THE_SCHEME_HAS, Outliers.COLUMNS_AND_VALUES);
  }

  /**
   * A model with static inputs of 8 bits whatever the scheme has, and with inputs that are not
   * quantized from a magnitude on.
   */
  public static SyntheticModel ofMixedInputs(QuantScheme scheme, long seed) {
    return new SyntheticModel(scheme, seed, Inputs.MIXED, Outliers.COLUMNS_AND_VALUES);
  }

  /** A model of which whole columns alone are kept at 16 bits. */
  public static SyntheticModel ofKeptColumns(QuantScheme scheme, long seed) {
    return new SyntheticModel(scheme, seed, Inputs.AS_THE_SCHEME_HAS, Outliers.COLUMNS);
  }

  /** As both: inputs that are not quantized from a magnitude on, and no single weights. */
  public static SyntheticModel ofLoudInputs(QuantScheme scheme, long seed) {
    return new SyntheticModel(scheme, seed, Inputs.MIXED, Outliers.COLUMNS);
  }

  private enum Inputs {
    AS_THE_SCHEME_HAS,
    MIXED
  }

  /** What is kept at 16 bits. */
  private enum Outliers {
    COLUMNS,
    COLUMNS_AND_VALUES
  }

  private SyntheticModel(QuantScheme scheme, long seed, Inputs inputs, Outliers outliers) {
    this.scheme = scheme;
    this.inputs = inputs;
    this.outliers = outliers;
    random = new Random(seed);
    embedding = gaussian(VOCAB * HIDDEN, 1, 0);
    finalNorm = gaussian(HIDDEN, 0.2, 1);
    for (int i = 0; i < LAYERS; i++) {
      layers.add(layer("model.layers." + i));
    }
    head =
        new SyntheticLinear(
            "lm_head", new PackedLayout(8, VOCAB, HIDDEN, 0), scheme.symmetric(), 16, random);
  }

  private Layer layer(String name) {
    Map<String, SyntheticLinear> linears = new LinkedHashMap<>();
    int queries = HEADS * HEAD_DIM;
    int keys = KV_HEADS * HEAD_DIM;
    for (String linear : List.of("q_proj", "k_proj", "v_proj")) {
      int rows = linear.equals("q_proj") ? queries : keys;
      linears.put(linear, linear(name + ".self_attn." + linear, rows, HIDDEN));
    }
    linears.put("o_proj", linear(name + ".self_attn.o_proj", HIDDEN, queries));
    linears.put("gate_proj", linear(name + ".mlp.gate_proj", INTERMEDIATE, HIDDEN));
    linears.put("up_proj", linear(name + ".mlp.up_proj", INTERMEDIATE, HIDDEN));
    linears.put("down_proj", linear(name + ".mlp.down_proj", HIDDEN, INTERMEDIATE));
    if (scheme.quantizesActivations() && scheme.groupSize() == SyntheticLinear.CLUSTER) {
      for (List<String> shared :
          List.of(List.of("q_proj", "k_proj", "v_proj"), List.of("gate_proj", "up_proj"))) {
        float[] scales = new float[HIDDEN / SyntheticLinear.CLUSTER];
        int[] zeros = new int[scales.length];
        int bits = inputs == Inputs.MIXED ? 8 : scheme.activationBits();
        int top = (1 << bits) - 1;
        for (int c = 0; c < scales.length; c++) {
          scales[c] = (float) ((4 + 3 * random.nextDouble()) / top);
          zeros[c] = top / 2 + random.nextInt(top / 4) - top / 8;
        }
        for (String linear : shared) {
          Objects.requireNonNull(linears.get(linear)).addClusters(bits, scales, zeros);
        }
      }
    }
    if (inputs == Inputs.MIXED) {
      Objects.requireNonNull(linears.get("o_proj")).addThreshold(0.5f);
      Objects.requireNonNull(linears.get("down_proj")).addThreshold(1.5f);
    }
    int[][] ropeOrder = new int[KV_HEADS][];
    for (int h = 0; h < KV_HEADS; h++) {
      ropeOrder[h] = order(HEAD_DIM / 2);
    }
    return new Layer(
        gaussian(HIDDEN, 0.2, 1),
        order(HIDDEN),
        ropeOrder,
        gaussian(HIDDEN, 0.2, 1),
        order(HIDDEN),
        linears);
  }

  private SyntheticLinear linear(String name, int rows, int columns) {
    PackedLayout layout = new PackedLayout(scheme.weightBits(), rows, columns, scheme.groupSize());
    SyntheticLinear linear =
        new SyntheticLinear(name, layout, scheme.symmetric(), scheme.activationBits(), random);
    linear.addOutlierColumns(random);
    if (outliers == Outliers.COLUMNS_AND_VALUES) {
      linear.addOutlierValues(random);
    }
    return linear;
  }

  /** Writes the packed folder. */
  public void writePacked(Path folder) throws IOException {
    writePacked(folder, (tensor, bytes) -> {});
  }

  /** Writes the packed folder with tensors changed, the checksums being those of the changed. */
  public void writePacked(Path folder, BiConsumer<String, ByteBuffer> change) throws IOException {
    Map<TensorInfo, ByteBuffer> tensors = commonTensors();
    for (int i = 0; i < LAYERS; i++) {
      Layer layer = layers.get(i);
      String name = "model.layers." + i;
      layer.linears().values().forEach(linear -> linear.write(tensors));
      putOrder(tensors, name + ".input_layernorm.channel_order", layer.attentionOrder());
      putOrder(tensors, name + ".post_attention_layernorm.channel_order", layer.mlpOrder());
      int[] flat =
          IntStream.range(0, KV_HEADS).flatMap(h -> IntStream.of(layer.ropeOrder()[h])).toArray();
      putOrder(tensors, name + ".self_attn.rope_order", flat, KV_HEADS, HEAD_DIM / 2);
    }
    head.write(tensors);
    tensors.keySet().removeIf(tensor -> tensor.name().equals("lm_head.bias"));
    tensors.forEach((tensor, bytes) -> change.accept(tensor.name(), bytes));
    Files.writeString(
        folder.resolve("config.json"),
        config(
            """
            , "quantization_config": {"quant_method": "nibble", "format_version": 1,
             "scheme": "%s", "method": "synthetic", "settings": {}, "bits_per_weight": 9.5,
             "modules_to_not_convert": ["model.embed_tokens"]}
            """
                .formatted(scheme)));
    try (SafetensorsWriter writer =
        SafetensorsWriter.createPacked(folder, List.copyOf(tensors.keySet()))) {
      write(writer, tensors);
    }
  }

  /** Writes the dense equivalent, F32; without quantized activations it computes the same. */
  public void writeDense(Path folder) throws IOException {
    Map<TensorInfo, ByteBuffer> tensors = commonTensors();
    for (int i = 0; i < LAYERS; i++) {
      Layer layer = layers.get(i);
      String attention = "model.layers." + i + ".self_attn.";
      String mlp = "model.layers." + i + ".mlp.";
      int[] order = layer.attentionOrder();
      putDense(
          tensors, attention + "q_proj", layer.linear("q_proj"), rowOrder(layer, HEADS), order);
      putDense(
          tensors, attention + "k_proj", layer.linear("k_proj"), rowOrder(layer, KV_HEADS), order);
      int[] values = straight(KV_HEADS * HEAD_DIM);
      putDense(tensors, attention + "v_proj", layer.linear("v_proj"), values, order);
      int[] hidden = straight(HIDDEN);
      int[] mixed = straight(HEADS * HEAD_DIM);
      putDense(tensors, attention + "o_proj", layer.linear("o_proj"), hidden, mixed);
      int[] inner = straight(INTERMEDIATE);
      putDense(tensors, mlp + "gate_proj", layer.linear("gate_proj"), inner, layer.mlpOrder());
      putDense(tensors, mlp + "up_proj", layer.linear("up_proj"), inner, layer.mlpOrder());
      putDense(tensors, mlp + "down_proj", layer.linear("down_proj"), hidden, inner);
    }
    putDense(tensors, "lm_head", head, straight(VOCAB), straight(HIDDEN));
    tensors.keySet().removeIf(tensor -> tensor.name().equals("lm_head.bias"));
    Files.writeString(folder.resolve("config.json"), config(""));
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(
            folder.resolve("model.safetensors"), List.copyOf(tensors.keySet()), Map.of())) {
      write(writer, tensors);
    }
  }

  /** Logits after each token, [tokens][vocab]. */
  public double[][] logits(int[] tokens) {
    return new SyntheticLogits(embedding, layers, finalNorm, head).of(tokens);
  }

  /** For each stored row of q or k its row in a plain model. */
  static int[] rowOrder(Layer layer, int heads) {
    int[] rows = new int[heads * HEAD_DIM];
    int half = HEAD_DIM / 2;
    for (int h = 0; h < heads; h++) {
      int[] pairs = layer.ropeOrder()[h / (heads / KV_HEADS)];
      for (int p = 0; p < half; p++) {
        rows[h * HEAD_DIM + p] = h * HEAD_DIM + pairs[p];
        rows[h * HEAD_DIM + p + half] = h * HEAD_DIM + pairs[p] + half;
      }
    }
    return rows;
  }

  private Map<TensorInfo, ByteBuffer> commonTensors() {
    Map<TensorInfo, ByteBuffer> tensors = new LinkedHashMap<>();
    SyntheticLinear.put(
        tensors,
        "model.embed_tokens.weight",
        DType.F32,
        SyntheticLinear.floats(embedding),
        VOCAB,
        HIDDEN);
    putFloats(tensors, "model.norm.weight", finalNorm);
    for (int i = 0; i < LAYERS; i++) {
      String name = "model.layers." + i;
      putFloats(tensors, name + ".input_layernorm.weight", layers.get(i).attentionNorm());
      putFloats(tensors, name + ".post_attention_layernorm.weight", layers.get(i).mlpNorm());
    }
    return tensors;
  }

  /** Undoes the orders: stored row r is row rows[r], stored column c column columns[c]. */
  private static void putDense(
      Map<TensorInfo, ByteBuffer> tensors,
      String name,
      SyntheticLinear linear,
      int[] rows,
      int[] columns) {
    double[][] stored = linear.dense();
    int width = stored[0].length;
    float[] plain = new float[stored.length * width];
    float[] bias = new float[stored.length];
    for (int r = 0; r < stored.length; r++) {
      bias[rows[r]] = (float) linear.bias()[r];
      for (int c = 0; c < width; c++) {
        plain[rows[r] * width + columns[c]] = (float) stored[r][c];
      }
    }
    SyntheticLinear.put(
        tensors, name + ".weight", DType.F32, SyntheticLinear.floats(plain), stored.length, width);
    putFloats(tensors, name + ".bias", bias);
  }

  private static void putFloats(Map<TensorInfo, ByteBuffer> tensors, String name, float[] values) {
    SyntheticLinear.put(tensors, name, DType.F32, SyntheticLinear.floats(values));
  }

  private static void putOrder(
      Map<TensorInfo, ByteBuffer> tensors, String name, int[] order, long... shape) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * order.length).order(ByteOrder.LITTLE_ENDIAN);
    for (int index : order) {
      bytes.putShort((short) index);
    }
    SyntheticLinear.put(tensors, name, DType.U16, bytes, shape);
  }

  private static void write(SafetensorsWriter writer, Map<TensorInfo, ByteBuffer> tensors)
      throws IOException {
    for (Map.Entry<TensorInfo, ByteBuffer> tensor : tensors.entrySet()) {
      writer.write(tensor.getKey().name(), MemorySegment.ofBuffer(tensor.getValue()));
    }
    writer.finish();
  }

  private static String config(String quantization) {
    return """
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
     "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
     "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d,
     "max_position_embeddings": 64, "rms_norm_eps": %s, "rope_theta": %s,
     "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1,
     "attention_bias": true, "mlp_bias": true, "eos_token_id": 2 %s}
    """
        .formatted(
            HIDDEN,
            INTERMEDIATE,
            LAYERS,
            HEADS,
            KV_HEADS,
            HEAD_DIM,
            VOCAB,
            EPSILON,
            THETA,
            quantization);
  }

  private float[] gaussian(int length, double deviation, double mean) {
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) (random.nextGaussian() * deviation + mean);
    }
    return values;
  }

  private int[] order(int length) {
    List<Integer> order = new ArrayList<>(IntStream.range(0, length).boxed().toList());
    Collections.shuffle(order, random);
    return order.stream().mapToInt(Integer::intValue).toArray();
  }

  private static int[] straight(int length) {
    return IntStream.range(0, length).toArray();
  }
}
