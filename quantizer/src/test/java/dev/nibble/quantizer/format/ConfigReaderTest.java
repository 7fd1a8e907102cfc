package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.format.ModelConfig.Llama3Scaling;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.nio.file.Files;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigReaderTest extends ConfigFixture {
  private static final String QWEN =
      """
      {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu",
       "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 256,
       "max_window_layers": 2, "num_attention_heads": 2, "num_hidden_layers": 4,
       "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
       "sliding_window": 32, "tie_word_embeddings": false, "use_sliding_window": true,
       "use_mrope": false, "vocab_size": 100}
      """;

  @Test
  void readsEarlyLlama() throws Exception {
    ModelConfig config =
        read(
            """
            {"architectures": ["LLaMAForCausalLM"], "bos_token_id": 0, "eos_token_id": 1,
             "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 11008,
             "initializer_range": 0.02, "max_sequence_length": 2048, "model_type": "llama",
             "num_attention_heads": 32, "num_hidden_layers": 32, "pad_token_id": -1,
             "rms_norm_eps": 1e-06, "torch_dtype": "float16",
             "transformers_version": "4.27.0.dev0", "use_cache": true, "vocab_size": 32000}
            """);
    assertEquals(
        new ModelConfig(
            Architecture.LLAMA,
            32000,
            4096,
            11008,
            32,
            32,
            32,
            128,
            2048,
            1e-6f,
            Optional.of(new RopeConfig(10000, Optional.empty())),
            Collections.nCopies(32, 0),
            false,
            Activation.SILU,
            Set.of(),
            List.of(0),
            List.of(1),
            Optional.empty()),
        config);
    assertEquals(QuantScheme.W16A16, config.scheme());
  }

  @Test
  void readsLlama2() throws Exception {
    ModelConfig config =
        read(
            """
            {"_name_or_path": "meta-llama/Llama-2-70b-hf", "architectures": ["LlamaForCausalLM"],
             "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1,
             "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 8192,
             "initializer_range": 0.02, "intermediate_size": 28672,
             "max_position_embeddings": 4096, "model_type": "llama", "num_attention_heads": 64,
             "num_hidden_layers": 80, "num_key_value_heads": 8, "pretraining_tp": 1,
             "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0,
             "tie_word_embeddings": false, "torch_dtype": "float16",
             "transformers_version": "4.32.0.dev0", "use_cache": true, "vocab_size": 32000}
            """);
    assertEquals(8, config.kvHeads());
    assertEquals(1024, config.rows(LinearRole.KEY));
    assertEquals(28672, config.columns(LinearRole.DOWN));
  }

  @Test
  void readsWhichLinearsHaveABias() throws Exception {
    Set<LinearRole> inputs = Set.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE);
    Set<LinearRole> attention =
        Set.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE, LinearRole.OUTPUT);
    assertEquals(Set.of(), biased("llama", "LlamaForCausalLM", "false"));
    assertEquals(attention, biased("llama", "LlamaForCausalLM", "true"));
    assertEquals(attention, biased("qwen3", "Qwen3ForCausalLM", "true"));
    assertEquals(inputs, biased("qwen2", "Qwen2ForCausalLM", "false"));
  }

  private Set<LinearRole> biased(String type, String name, String attentionBias) throws Exception {
    return read("""
    {"architectures": ["%s"], "model_type": "%s", "attention_bias": %s,
     "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
     "num_key_value_heads": 4, "head_dim": 16, "num_hidden_layers": 1,
     "max_position_embeddings": 64, "vocab_size": 64, "hidden_act": "silu"}
    """
            .formatted(name, type, attentionBias))
        .biased();
  }

  @ParameterizedTest
  @ValueSource(strings = {"rope_type", "type"})
  void readsLlama3WithItsScalingAndAllItsEndTokens(String typeField) throws Exception {
    Files.writeString(
        folder.resolve("generation_config.json"),
        "{\"bos_token_id\": 128000, \"do_sample\": true,"
            + " \"eos_token_id\": [128001, 128008, 128009], \"temperature\": 0.6}");
    ModelConfig config =
        read(
            """
            {"architectures": ["LlamaForCausalLM"], "attention_bias": false,
             "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128009,
             "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048,
             "initializer_range": 0.02, "intermediate_size": 8192,
             "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
             "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
             "pretraining_tp": 1, "rms_norm_eps": 1e-05,
             "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
               "original_max_position_embeddings": 8192, "TYPE": "llama3"},
             "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
             "transformers_version": "4.45.0.dev0", "use_cache": true, "vocab_size": 128256}
            """
                .replace("TYPE", typeField));
    assertEquals(
        Optional.of(new RopeConfig(500000, Optional.of(new Llama3Scaling(32, 1, 4, 8192)))),
        config.rope());
    assertEquals(List.of(128009, 128001, 128008), config.eosIds());
    assertTrue(config.tiedEmbeddings());
  }

  @ParameterizedTest
  @CsvSource({"4096, 4096, 10000.0", "null, 0, 1000000.0"})
  void mistralWindowsEveryLayer(String window, int expected, String theta) throws Exception {
    ModelConfig config =
        read(
            """
            {"architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2,
             "hidden_act": "silu", "hidden_size": 4096, "initializer_range": 0.02,
             "intermediate_size": 14336, "max_position_embeddings": 32768,
             "model_type": "mistral", "num_attention_heads": 32, "num_hidden_layers": 32,
             "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": %s,
             "sliding_window": %s, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
             "transformers_version": "4.34.0.dev0", "use_cache": true, "vocab_size": 32000}
            """
                .formatted(theta, window));
    assertEquals(Collections.nCopies(32, expected), config.slidingWindows());
    assertEquals(Double.parseDouble(theta), config.rope().orElseThrow().theta());
  }

  @Test
  void readsNemoWhoseHeadsAreNarrowerThanHidden() throws Exception {
    ModelConfig config =
        read(
            """
            {"architectures": ["MistralForCausalLM"], "attention_dropout": 0.0,
             "bos_token_id": 1, "eos_token_id": 2, "head_dim": 128, "hidden_act": "silu",
             "hidden_size": 5120, "initializer_range": 0.02, "intermediate_size": 14336,
             "max_position_embeddings": 1024000, "model_type": "mistral",
             "num_attention_heads": 32, "num_hidden_layers": 40, "num_key_value_heads": 8,
             "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null,
             "tie_word_embeddings": false, "torch_dtype": "bfloat16",
             "transformers_version": "4.43.0.dev0", "use_cache": true, "vocab_size": 131072}
            """);
    assertEquals(4096, config.rows(LinearRole.QUERY));
    assertEquals(5120, config.rows(LinearRole.OUTPUT));
    assertEquals(4096, config.columns(LinearRole.OUTPUT));
  }

  @Test
  void readsQwen25() throws Exception {
    ModelConfig config =
        read(
            """
            {"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
             "bos_token_id": 151643, "eos_token_id": 151645, "hidden_act": "silu",
             "hidden_size": 3584, "initializer_range": 0.02, "intermediate_size": 18944,
             "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2",
             "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
             "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072,
             "tie_word_embeddings": false, "torch_dtype": "bfloat16",
             "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false,
             "vocab_size": 152064}
            """);
    assertEquals(128, config.headDim());
    assertEquals(Collections.nCopies(28, 0), config.slidingWindows());
  }

  @Test
  void readsQwen3() throws Exception {
    ModelConfig config =
        read(
            """
            {"architectures": ["Qwen3ForCausalLM"], "attention_bias": false,
             "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
             "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
             "initializer_range": 0.02, "intermediate_size": 3072,
             "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
             "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
             "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
             "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
             "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false,
             "vocab_size": 151936}
            """);
    assertEquals(2048, config.rows(LinearRole.QUERY));
    assertTrue(TensorNames.of(config.architecture()).queryNorm(0).isPresent());
  }

  @Test
  void readsOpt() throws Exception {
    ModelConfig config =
        read(
            """
            {"_name_or_path": "facebook/opt-6.7b", "_remove_final_layer_norm": false,
             "activation_dropout": 0.0, "activation_function": "relu",
             "architectures": ["OPTForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 2,
             "do_layer_norm_before": true, "dropout": 0.1, "eos_token_id": 2, "ffn_dim": 16384,
             "hidden_size": 4096, "init_std": 0.02, "layerdrop": 0.0,
             "max_position_embeddings": 2048, "model_type": "opt", "num_attention_heads": 32,
             "num_hidden_layers": 32, "pad_token_id": 1, "prefix": "</s>",
             "torch_dtype": "float16", "transformers_version": "4.21.0.dev0",
             "use_cache": true, "vocab_size": 50272, "word_embed_proj_dim": 4096}
            """);
    assertEquals(Optional.empty(), config.rope());
    assertEquals(Activation.RELU, config.activation());
    assertEquals(1e-5f, config.normEpsilon());
    assertTrue(config.tiedEmbeddings());
  }

  @Test
  void qwenWindowsTheLayersFromMaxWindowLayersOn() throws Exception {
    assertEquals(List.of(0, 0, 32, 32), read(QWEN).slidingWindows());
    assertEquals(
        List.of(0, 0, 0, 0),
        read(QWEN.replace("\"use_sliding_window\": true", "\"use_sliding_window\": false"))
            .slidingWindows());
  }

  @Test
  void aMissingWindowIsTheClassesDefaultButNullIsNone() throws Exception {
    String mistral =
        """
        {"model_type": "mistral", "hidden_size": 64, "intermediate_size": 128,
         "max_position_embeddings": 32768, "num_attention_heads": 2, "num_hidden_layers": 2,
         "num_key_value_heads": 1, "vocab_size": 100}
        """;
    assertEquals(List.of(4096, 4096), read(mistral).slidingWindows());
    assertEquals(
        List.of(0, 0),
        read(with(mistral, ", \"sliding_window\": null, \"vocab_size\"")).slidingWindows());
    assertEquals(
        List.of(0, 0, 4096, 4096),
        read(QWEN.replace("\"sliding_window\": 32, ", "")).slidingWindows());
    assertEquals(
        List.of(0, 0, 0, 0),
        read(QWEN.replace("\"sliding_window\": 32", "\"sliding_window\": null")).slidingWindows());
  }

  @Test
  void layerTypesDecideBeforeTheLayersIndex() throws Exception {
    String types =
        ", \"layer_types\": [\"sliding_attention\", \"full_attention\", \"full_attention\","
            + " \"sliding_attention\"], \"vocab_size\"";
    assertEquals(List.of(32, 0, 0, 32), read(with(QWEN, types)).slidingWindows());
    refused(
        with(QWEN, types)
            .replace("\"sliding_window\": 32", "\"sliding_window\": null")
            .replace("\"use_sliding_window\": true", "\"use_sliding_window\": false"),
        "layer_types: expected full_attention, or sliding_attention with a window");
    refused(with(QWEN, types).replace("[\"sliding_attention\", ", "["), "expected 4 entries");
    refused(
        with(QWEN, types).replace("full_attention", "chunked_attention"),
        "found chunked_attention");
  }

  /** As the configuration classes of transformers have it. */
  @ParameterizedTest
  @CsvSource({
    "llama, Llama, absent, 2",
    "mistral, Mistral, absent, 2",
    "qwen2, Qwen2, absent, ",
    "llama, Llama, null, ",
    "llama, Llama, 5, 5"
  })
  void anEndTokenThatIsNotNamedIsTheFamilys(
      String type, String name, String eos, @Nullable Integer expected) throws Exception {
    String config =
        SmallModel.CONFIG
            .replace("\"llama\"", "\"" + type + "\"")
            .replace("LlamaFor", name + "For")
            .replace("\"num_hidden", "\"num_key_value_heads\": 1, \"num_hidden")
            .replace(
                "\"eos_token_id\": 2,",
                eos.equals("absent") ? "" : "\"eos_token_id\": " + eos + ",");
    assertEquals(expected == null ? List.of() : List.of(expected), read(config).eosIds());
  }
}
