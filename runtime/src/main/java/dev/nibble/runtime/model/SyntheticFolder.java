package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Packed folders of named shapes: a synthetic LLaMA's weights, written out, to measure loading with
 * and to test it.
 */
public final class SyntheticFolder {
  private final Map<TensorInfo, MemorySegment> tensors = new LinkedHashMap<>();

  private SyntheticFolder() {}

  /**
   * Writes one.
   *
   * @param shape one of {@link ModelWeights#syntheticShapes}, of LLaMA's architecture
   * @param scheme of its weights
   * @param folder an empty one
   * @return bytes of its tensors
   * @throws IOException if it cannot be written
   */
  public static long write(String shape, QuantScheme scheme, Path folder) throws IOException {
    try (ModelWeights weights = ModelWeights.synthetic(shape, scheme)) {
      ModelConfig config = weights.config();
      SyntheticFolder written = new SyntheticFolder();
      TensorNames names = TensorNames.of(config.architecture());
      written.add(names.embedding(), weights.embedding());
      for (int layer = 0; layer < config.layers(); layer++) {
        Block block = weights.blocks().get(layer);
        written.add(names.attentionNorm(layer), block.attentionNorm().weight());
        written.add(names.mlpNorm(layer), block.mlpNorm().weight());
        written.add(names, layer, LinearRole.QUERY, block.query());
        written.add(names, layer, LinearRole.KEY, block.key());
        written.add(names, layer, LinearRole.VALUE, block.value());
        written.add(names, layer, LinearRole.OUTPUT, block.output());
        written.add(names, layer, LinearRole.GATE, block.gate().orElseThrow());
        written.add(names, layer, LinearRole.UP, block.up());
        written.add(names, layer, LinearRole.DOWN, block.down());
      }
      written.add(names.finalNorm(), weights.finalNorm().weight());
      if (!config.tiedEmbeddings()) {
        written.add(names.head(), weights.head().weights());
      }
      Files.writeString(folder.resolve("config.json"), json(config));
      return written.write(folder);
    }
  }

  private void add(TensorNames names, int layer, LinearRole role, Linear linear) {
    add(names.linear(layer, role), linear.weights());
  }

  private void add(ModuleName name, float[] vector) {
    tensors.put(
        new TensorInfo(name.weight(), DType.F32, List.of((long) vector.length)),
        MemorySegment.ofArray(vector));
  }

  private void add(ModuleName name, WeightMatrix matrix) {
    switch (matrix) {
      case WeightMatrix.Dense dense ->
          tensors.put(
              new TensorInfo(
                  name.weight(),
                  dense.dtype(),
                  List.of((long) dense.rows(), (long) dense.columns())),
              dense.data());
      case WeightMatrix.Packed packed -> {
        long scales = packed.layout().scaleCount();
        tensors.put(
            new TensorInfo(name.qweight(), DType.U8, List.of(packed.layout().qweightBytes())),
            packed.qweight());
        tensors.put(new TensorInfo(name.scales(), DType.F16, List.of(scales)), packed.scales());
        if (packed.zeros() != null) {
          tensors.put(new TensorInfo(name.zeros(), DType.U8, List.of(scales)), packed.zeros());
        }
      }
    }
  }

  private long write(Path folder) throws IOException {
    long bytes = 0;
    try (SafetensorsWriter writer =
        SafetensorsWriter.createPacked(folder, List.copyOf(tensors.keySet()))) {
      for (Map.Entry<TensorInfo, MemorySegment> tensor : tensors.entrySet()) {
        writer.write(tensor.getKey().name(), tensor.getValue());
        bytes += tensor.getValue().byteSize();
      }
      writer.finish();
    }
    return bytes;
  }

  private static String json(ModelConfig config) {
    return """
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
     "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
     "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d,
     "max_position_embeddings": %d, "rms_norm_eps": 1e-5, "rope_theta": 10000,
     "hidden_act": "silu", "tie_word_embeddings": %b, "bos_token_id": 1, "eos_token_id": 2,
     "quantization_config": {"quant_method": "nibble", "format_version": 1, "scheme": "%s",
      "method": "synthetic", "settings": {}, "bits_per_weight": %d,
      "modules_to_not_convert": ["model.embed_tokens"]}}
    """
        .formatted(
            config.hiddenSize(),
            config.intermediateSize(),
            config.layers(),
            config.heads(),
            config.kvHeads(),
            config.headDim(),
            config.vocabSize(),
            config.maxPositions(),
            config.tiedEmbeddings(),
            config.scheme(),
            config.scheme().weightBits());
  }
}
