package dev.nibble.quantizer.format;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

/** Model folders of a few kilobytes: a LLaMA of one block, hidden size 16. */
final class SmallModel {
  static final String CONFIG =
      """
      {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 16,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "model_type": "llama",
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": true,
        "vocab_size": 8
      }
      """;

  private SmallModel() {}

  /** An unquantized folder of one file. */
  static Path source(Path folder) throws IOException {
    writeConfigs(folder, CONFIG);
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(
            folder.resolve("model.safetensors"), tensors(), Map.of("format", "pt"))) {
      fill(writer, tensors());
    }
    return folder;
  }

  /** An unquantized folder of two files and an index. */
  static Path sharded(Path folder) throws IOException {
    writeConfigs(folder, CONFIG);
    List<TensorInfo> all = tensors();
    List<List<TensorInfo>> shards = List.of(all.subList(0, 3), all.subList(3, all.size()));
    StringBuilder map = new StringBuilder();
    for (int i = 0; i < shards.size(); i++) {
      String name = "model-0000" + (i + 1) + "-of-00002.safetensors";
      try (SafetensorsWriter writer =
          SafetensorsWriter.create(folder.resolve(name), shards.get(i), Map.of())) {
        fill(writer, shards.get(i));
      }
      for (TensorInfo tensor : shards.get(i)) {
        map.append(map.isEmpty() ? "" : ", ");
        map.append('"').append(tensor.name()).append("\": \"").append(name).append('"');
      }
    }
    Files.writeString(
        folder.resolve("model.safetensors.index.json"),
        "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {" + map + "}}");
    return folder;
  }

  /** A packed folder of random codes; a small limit makes it two files and an index. */
  static Path packed(Path folder, long maxShardBytes) throws IOException {
    QuantizationConfig quantization =
        new QuantizationConfig(
            QuantizationConfig.FORMAT_VERSION,
            QuantScheme.parse("W4A16g128"),
            "rtn",
            Map.of(),
            Optional.empty(),
            4.1875,
            List.of("lm_head"));
    List<List<TensorInfo>> steps = new ArrayList<>();
    for (TensorInfo tensor : tensors()) {
      if (tensor.shape().size() == 1 || tensor.name().contains("embed")) {
        steps.add(List.of(tensor));
      } else {
        String name = tensor.name().replace(".weight", "");
        steps.add(
            List.of(
                new TensorInfo(name + ".qweight", DType.U8, List.of(4096L)),
                new TensorInfo(name + ".scales", DType.F16, List.of(64L)),
                new TensorInfo(name + ".zeros", DType.U8, List.of(64L))));
      }
    }
    Path plain = Files.createTempDirectory(folder.toAbsolutePath().getParent(), "plain");
    Files.writeString(plain.resolve("tokenizer.json"), "{\"model\": {\"vocab\": {}}}\n");
    Random random = new Random(7);
    try (Checkpoint checkpoint = Checkpoint.open(source(plain));
        PackedFolderWriter writer =
            PackedFolderWriter.create(folder, checkpoint, quantization, steps, maxShardBytes)) {
      for (List<TensorInfo> step : steps) {
        for (TensorInfo tensor : step) {
          writer.write(tensor.name(), MemorySegment.ofArray(bytes(tensor, random)));
        }
      }
      writer.finish();
    }
    return folder;
  }

  static List<TensorInfo> tensors() {
    List<TensorInfo> tensors = new ArrayList<>();
    tensors.add(new TensorInfo("model.embed_tokens.weight", DType.F16, List.of(8L, 16L)));
    for (String name :
        List.of(
            "model.norm",
            "model.layers.0.input_layernorm",
            "model.layers.0.post_attention_layernorm")) {
      tensors.add(new TensorInfo(name + ".weight", DType.F16, List.of(16L)));
    }
    for (String name : List.of("q_proj", "k_proj", "v_proj", "o_proj")) {
      tensors.add(
          new TensorInfo(
              "model.layers.0.self_attn." + name + ".weight", DType.F16, List.of(16L, 16L)));
    }
    for (String name : List.of("gate_proj", "up_proj")) {
      tensors.add(
          new TensorInfo("model.layers.0.mlp." + name + ".weight", DType.F16, List.of(32L, 16L)));
    }
    tensors.add(
        new TensorInfo("model.layers.0.mlp.down_proj.weight", DType.F16, List.of(16L, 32L)));
    return tensors;
  }

  private static void fill(SafetensorsWriter writer, List<TensorInfo> tensors) throws IOException {
    Random random = new Random(7);
    for (TensorInfo tensor : tensors) {
      writer.write(tensor.name(), MemorySegment.ofArray(bytes(tensor, random)));
    }
    writer.finish();
  }

  private static byte[] bytes(TensorInfo tensor, Random random) {
    byte[] bytes = new byte[(int) tensor.bytes()];
    random.nextBytes(bytes);
    return bytes;
  }

  private static void writeConfigs(Path folder, String config) throws IOException {
    Files.writeString(folder.resolve("config.json"), config);
    Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": [2, 3]}\n");
  }
}
