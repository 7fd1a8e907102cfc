package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.format.ModelConfig.Llama3Scaling;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigReaderTest {
  private static final String QWEN =
      """
      {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu",
       "hidden_size": 64, "intermediate_size": 128, "max_position_embeddings": 256,
       "max_window_layers": 2, "num_attention_heads": 2, "num_hidden_layers": 4,
       "num_key_value_heads": 1, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
       "sliding_window": 32, "tie_word_embeddings": false, "use_sliding_window": true,
       "use_mrope": false, "vocab_size": 100}
      """;

  @TempDir Path folder;

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
  void saysWhereJsonBreaks() throws Exception {
    refused("{\"a\": [", "config.json: JSON: ");
    ModelFormatException e = assertThrows(ModelFormatException.class, () -> read("{\n \"a\": [1"));
    assertTrue(String.valueOf(e.getMessage()).contains("line 2"), e.getMessage());
    assertTrue(!String.valueOf(e.getMessage()).contains("REDACTED"), e.getMessage());
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

  @Test
  void ropeParametersAndRopeThetaMustAgree() throws Exception {
    String both =
        SmallModel.CONFIG.replace(
            "\"rope_theta\"", "\"rope_parameters\": PARAMETERS, \"rope_theta\"");
    String same = "{\"rope_theta\": 10000.0, \"rope_type\": \"default\"}";
    assertEquals(10000, read(both.replace("PARAMETERS", same)).rope().orElseThrow().theta());
    refused(
        both.replace("PARAMETERS", same.replace("10000.0", "20000.0")),
        "rope_theta: expected 20000.0 as in rope_parameters, found 10000.0");
    refused(
        both.replace("PARAMETERS", same + ", \"rope_scaling\": " + same),
        "rope_scaling: expected it or rope_parameters");
  }

  @ParameterizedTest
  @ValueSource(strings = {"linear", "dynamic", "yarn", "longrope", "su", "mrope", "proportional"})
  void otherRopeTypesAreRefusedByName(String type) throws Exception {
    refused(
        add("\"rope_scaling\": {\"type\": \"%s\", \"factor\": 2.0}".formatted(type)),
        "rope_scaling.type: expected default or llama3, found '" + type + "'");
    refused(
        add("\"rope_scaling\": {\"rope_type\": \"%s\", \"factor\": 2.0}".formatted(type)),
        "rope_scaling.rope_type: expected default or llama3, found '" + type + "'");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"attn_logit_softcapping\": 50.0 | attn_logit_softcapping: unknown field",
        "\"final_logit_softcapping\": 30.0 | final_logit_softcapping: unknown field",
        "\"partial_rotary_factor\": 0.5 | partial_rotary_factor: expected 1.0",
        "\"pretraining_tp\": 2 | pretraining_tp: expected 1.0, found 2",
        "\"sliding_window\": 4096 | sliding_window: unknown field",
        "\"auto_map\": {\"AutoModel\": \"x.py\"} | auto_map: unknown field",
        "\"use_mrope\": true | use_mrope: unknown field",
        "\"residual_multiplier\": 0.22 | residual_multiplier: unknown field",
        "\"head_dim\": 24 | head_dim: expected a multiple of 16 up to 128, found 24",
        "\"head_dim\": 256 | head_dim: expected a multiple of 16 up to 128, found 256",
        "\"num_key_value_heads\": 2 | num_key_value_heads: expected an integer from 1 to 1",
        "\"rope_scaling\": {\"factor\": 8.0} | rope_scaling.factor: unknown field",
        "\"rope_scaling\": 8 | rope_scaling: expected an object, found 8",
        "\"rope_scaling\": {\"type\": \"llama3\"} | rope_scaling.low_freq_factor: expected a number",
        "\"quantization_config\": {\"quant_method\": \"gptq\"} | quant_method: expected nibble",
        "\"quantization_config\": {\"quant_method\": \"fp8\"} | found fp8; quantize the original",
        "\"quantization_config\": {} | quantization_config.quant_method: expected a string",
        "\"layer_types\": [\"linear_attention\"] | layer_types: expected full_attention",
        "\"eos\": {} , \"attention_bias\": 1 | attention_bias: expected true or false, found 1"
      })
  void fieldsThatChangeTheArithmeticAreRefusedByName(String field, String expected)
      throws Exception {
    refused(add(field), expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"silu\" | \"gelu_pytorch_tanh\" | hidden_act: expected silu, found \"gelu_pytorch_tanh\"",
        "\"llama\" | \"llama4\" | model_type: expected a causal language model of llama,",
        "ForCausalLM | ForSequenceClassification | found llama [LlamaForSequenceClassification]",
        "\"model_type\": \"llama\" | \"model_type\": \"mixtral\" | found mixtral",
        "\"hidden_size\": 16 | \"hidden_size\": 2147483648 | hidden_size: expected an integer",
        "\"hidden_size\": 16 | \"hidden_size\": 0 | hidden_size: expected an integer from 1",
        "\"hidden_size\": 16 | \"hidden_size\": 16.0 | hidden_size: expected an integer",
        "\"hidden_size\": 16 | \"hidden_size\": \"16\" | hidden_size: expected an integer",
        "\"hidden_size\": 16, | \"\": null, | hidden_size: expected an integer, found none",
        "\"num_hidden_layers\": 1 | \"num_hidden_layers\": 2147483647 | from 1 to 4096",
        "1e-05 | 0 | rms_norm_eps: expected a finite number above 0, found 0",
        "1e-05 | 1e999 | rms_norm_eps: expected a finite number above 0",
        "1e-05 | -1 | rms_norm_eps: expected a finite number above 0, found -1",
        "10000.0 | \"10000\" | rope_theta: expected a finite number",
        "\"eos_token_id\": 2 | \"eos_token_id\": [2, -1] | eos_token_id: expected token ids",
        "\"eos_token_id\": 2 | \"eos_token_id\": 3000000000 | eos_token_id: expected token ids",
        "\"vocab_size\": 8 | \"vocab_size\": 8, \"vocab_size\": 9 | uplicate",
        "\"vocab_size\": 8 | \"vocab_size\": NaN | NaN"
      })
  void valuesOutOfRangeAreRefused(String from, String to, String expected) throws Exception {
    String config = SmallModel.CONFIG.replace(from, to);
    assertTrue(!config.equals(SmallModel.CONFIG), "nothing replaced");
    refused(config, expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"do_layer_norm_before\": true | \"do_layer_norm_before\": false | do_layer_norm_before",
        "\"word_embed_proj_dim\": 128 | \"word_embed_proj_dim\": 64 | word_embed_proj_dim",
        "\"enable_bias\": true | \"enable_bias\": false | enable_bias: expected true",
        "affine\": true | affine\": false | layer_norm_elementwise_affine: expected true",
        "\"relu\" | \"gelu\" | activation_function: expected relu, found \"gelu\"",
        "layer_norm\": false | layer_norm\": true | _remove_final_layer_norm: expected false"
      })
  void otherOptsAreRefusedByName(String from, String to, String expected) throws Exception {
    Path opt = Path.of(System.getProperty("project.root"), "runtime/src/test/resources/tiny/opt");
    String config = Files.readString(opt.resolve("config.json"));
    assertTrue(config.contains(from), from);
    refused(config.replace(from, to), expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"pruned_heads\": {}",
        "\"use_mrope\": false",
        "\"attn_logit_softcapping\": null",
        "\"auto_map\": []",
        "\"prefix\": \"\"",
        "\"tf_legacy_loss\": false",
        "\"rope_scaling\": {\"rope_type\": \"default\"}",
        "\"head_dim\": null",
        "\"layer_types\": [\"full_attention\"]"
      })
  void fieldsThatSayNothingArePassedOver(String field) throws Exception {
    assertEquals(read(SmallModel.CONFIG), read(add(field)));
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

  @Test
  void jsonIsStrictAndBounded() throws Exception {
    refused("", "expected {, found nothing");
    refused("[]", "expected {");
    refused(SmallModel.CONFIG + "{}", "JSON");
    refused(add("\"deep\": " + "[".repeat(100_000)), "JSON");
    refused(add("\"long\": \"" + "x".repeat(1 << 20) + "\""), "unknown field");
    refused(add("\"long\\u001b[2J\\n\": 1"), "unknown field");
    refused(" ".repeat(5 << 20), "size: expected at most");
    Files.delete(folder.resolve("config.json"));
    assertThrows(NoSuchFileException.class, () -> ModelConfig.read(folder));
    Files.writeString(
        folder.resolve("config.json"), "version https://git-lfs.github.com/spec/v1\noid sha256:0");
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> ModelConfig.read(folder));
    assertTrue(e.getMessage().contains("git lfs pull"), e.getMessage());
  }

  @Test
  void quantizationComesBackAsWritten() throws Exception {
    QuantizationConfig quantization =
        new QuantizationConfig(
            1,
            QuantScheme.parse("W3A8g64symQ8KV4H8"),
            "rtn",
            Map.of("seed", "1"),
            Optional.of("0123456789abcdef".repeat(4)),
            3.25,
            List.of("lm_head", "model.embed_tokens"));
    SmallModel.source(folder);
    byte[] packed;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      packed = checkpoint.packedConfig(quantization);
    }
    Files.write(folder.resolve("config.json"), packed);
    assertEquals(Optional.of(quantization), ModelConfig.read(folder).quantization());
    String text = Files.readString(folder.resolve("config.json"));
    refused(text.replace("W3A8g64", "W5A8g64"), "quantization_config.scheme: scheme 'W5A8g64");
    refused(text.replace("\"format_version\" : 1", "\"format_version\" : 2"), "found 2; quantize");
    refused(text.replace("0123", "0ABC"), "calibration_sha256: expected 64 hex digits");
    refused(text.replace("\"seed\" : \"1\"", "\"seed\" : 1"), "settings.seed: expected a string");
    refused(text.replace("\"rtn\"", "\"rtn\", \"desc_act\" : true"), "desc_act: unknown field");
    Files.write(folder.resolve("config.json"), packed);
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> Checkpoint.open(folder).close());
    assertTrue(e.getMessage().contains("expected the checksums"), e.getMessage());
  }

  private ModelConfig read(String config) throws IOException {
    Files.writeString(folder.resolve("config.json"), config);
    return ModelConfig.read(folder);
  }

  private void refused(String config, String expected) {
    ModelFormatException e = assertThrows(ModelFormatException.class, () -> read(config));
    assertTrue(e.getMessage().contains(expected), e.getMessage());
    assertTrue(e.getMessage().startsWith(folder + "/config.json: "), e.getMessage());
    assertTrue(e.getMessage().chars().noneMatch(Character::isISOControl), e.getMessage());
    assertTrue(e.getMessage().length() <= 1003, () -> "length " + e.getMessage().length());
  }

  private static String add(String field) {
    return SmallModel.CONFIG.replace("\"vocab_size\"", field + ", \"vocab_size\"");
  }

  private static String with(String config, String fields) {
    return config.replace(", \"vocab_size\"", fields);
  }
}
