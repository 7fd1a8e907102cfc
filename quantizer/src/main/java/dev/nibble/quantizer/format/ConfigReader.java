package dev.nibble.quantizer.format;

import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/**
 * Reads {@code config.json} and {@code generation_config.json}. The rule for fields: those that
 * change the arithmetic are read and checked; those of {@link #HARMLESS} are passed over; any other
 * is refused by name unless it is null, false or empty. Defaults are those of the family's class in
 * Hugging Face transformers.
 */
final class ConfigReader {
  static final String FILE_NAME = "config.json";
  static final String GENERATION_FILE_NAME = "generation_config.json";
  static final int MAX_BYTES = 4 << 20;

  private static final int MAX_WIDTH = 1 << 22;
  private static final int MAX_LAYERS = 4096;
  private static final int MAX_HEAD_DIM = 128;

  /** Of Mistral, and of Qwen where windows are used. */
  private static final int DEFAULT_WINDOW = 4096;

  /** Fields that say how a model is trained, sampled, stored or printed, not what it computes. */
  private static final Set<String> HARMLESS =
      Set.of(
          "_attn_implementation",
          "_attn_implementation_autoset",
          "_flash_attn_2_enabled",
          "_name_or_path",
          "activation_dropout",
          "attention_dropout",
          "attn_implementation",
          "bad_words_ids",
          "begin_suppress_tokens",
          "chunk_size_feed_forward",
          "classifier_dropout",
          "decoder_start_token_id",
          "diversity_penalty",
          "do_sample",
          "dropout",
          "dtype",
          "early_stopping",
          "embd_pdrop",
          "encoder_no_repeat_ngram_size",
          "exponential_decay_length_penalty",
          "finetuning_task",
          "forced_bos_token_id",
          "forced_eos_token_id",
          "gradient_checkpointing",
          "hidden_dropout",
          "hidden_dropout_prob",
          "id2label",
          "init_std",
          "initializer_range",
          "label2id",
          "layerdrop",
          "length_penalty",
          "max_length",
          "max_sequence_length",
          "min_length",
          "model_max_length",
          "no_repeat_ngram_size",
          "num_beam_groups",
          "num_beams",
          "num_labels",
          "num_return_sequences",
          "output_attentions",
          "output_hidden_states",
          "output_past",
          "output_scores",
          "pad_token_id",
          "prefix",
          "problem_type",
          "remove_invalid_values",
          "repetition_penalty",
          "return_dict",
          "return_dict_in_generate",
          "sep_token_id",
          "suppress_tokens",
          "task_specific_params",
          "temperature",
          "tokenizer_class",
          "top_k",
          "top_p",
          "torch_dtype",
          "torchscript",
          "transformers.js_config",
          "transformers_version",
          "typical_p",
          "unk_token_id",
          "unsloth_fixed",
          "unsloth_version",
          "use_cache");

  private static final int DEFAULT_EOS = 2;

  private final ConfigFields fields;
  private final Architecture architecture;

  private ConfigReader(ConfigFields fields) throws ModelFormatException {
    this.fields = fields;
    architecture = architecture(fields);
  }

  /** Reads a folder's config, from the file's own bytes. */
  static ModelConfig read(Path folder, byte[] config) throws IOException {
    Path file = folder.resolve(FILE_NAME);
    ConfigFields fields = new ConfigFields(file, StrictJson.object(file, config));
    return new ConfigReader(fields).read(generationEosIds(folder));
  }

  private ModelConfig read(List<Integer> generationEosIds) throws ModelFormatException {
    fields.ignore(HARMLESS);
    Set<Integer> eosIds = new LinkedHashSet<>(fields.ids("eos_token_id"));
    eosIds.addAll(generationEosIds);
    if (eosIds.isEmpty() && !fields.names().contains("eos_token_id") && hasDefaultEos()) {
      eosIds.add(DEFAULT_EOS);
    }
    ModelConfig config =
        architecture == Architecture.OPT
            ? readOpt(List.copyOf(eosIds))
            : readLlama(List.copyOf(eosIds));
    fields.refuseUnknown();
    return config;
  }

  /**
   * Whether the family's configuration in transformers has an end token where a file names none.
   */
  private boolean hasDefaultEos() {
    return switch (architecture) {
      case LLAMA, MISTRAL, OPT -> true;
      case QWEN2, QWEN3 -> false;
    };
  }

  private ModelConfig readLlama(List<Integer> eosIds) throws ModelFormatException {
    fields.mustBe("hidden_act", "silu");
    fields.mustBe("pretraining_tp", 1);
    int hiddenSize = fields.size("hidden_size", MAX_WIDTH);
    int heads = fields.size("num_attention_heads", MAX_WIDTH);
    int layers = fields.size("num_hidden_layers", MAX_LAYERS);
    int maxPositions =
        fields.size("max_position_embeddings", Integer.MAX_VALUE, defaultPositions());
    return new ModelConfig(
        architecture,
        fields.size("vocab_size", MAX_WIDTH),
        hiddenSize,
        fields.size("intermediate_size", MAX_WIDTH),
        layers,
        heads,
        kvHeads(heads),
        headDim(hiddenSize, heads),
        maxPositions,
        (float) fields.positive("rms_norm_eps", 1e-6),
        Optional.of(rope()),
        slidingWindows(layers),
        fields.flag("tie_word_embeddings", false),
        Activation.SILU,
        llamaBiases(),
        fields.ids("bos_token_id"),
        eosIds,
        quantization());
  }

  private ModelConfig readOpt(List<Integer> eosIds) throws ModelFormatException {
    fields.mustBe("activation_function", "relu");
    fields.mustBe("do_layer_norm_before", "true");
    fields.mustBe("enable_bias", "true");
    fields.mustBe("layer_norm_elementwise_affine", "true");
    fields.mustBe("_remove_final_layer_norm", "false");
    int hiddenSize = fields.size("hidden_size", MAX_WIDTH);
    fields.mustBe("word_embed_proj_dim", hiddenSize);
    int heads = fields.size("num_attention_heads", MAX_WIDTH);
    int layers = fields.size("num_hidden_layers", MAX_LAYERS);
    return new ModelConfig(
        architecture,
        fields.size("vocab_size", MAX_WIDTH),
        hiddenSize,
        fields.size("ffn_dim", MAX_WIDTH),
        layers,
        heads,
        heads,
        headDim(hiddenSize, heads),
        fields.size("max_position_embeddings", Integer.MAX_VALUE - 2, 2048),
        1e-5f,
        Optional.empty(),
        Collections.nCopies(layers, 0),
        fields.flag("tie_word_embeddings", true),
        Activation.RELU,
        EnumSet.complementOf(EnumSet.of(LinearRole.GATE)),
        fields.ids("bos_token_id"),
        eosIds,
        quantization());
  }

  private Set<LinearRole> llamaBiases() throws ModelFormatException {
    Set<LinearRole> biased = EnumSet.noneOf(LinearRole.class);
    if (architecture == Architecture.QWEN2) {
      biased.addAll(List.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE));
    }
    if (fields.flag("attention_bias", false) && architecture != Architecture.QWEN2) {
      biased.addAll(List.of(LinearRole.QUERY, LinearRole.KEY, LinearRole.VALUE, LinearRole.OUTPUT));
    }
    if (fields.flag("mlp_bias", false)) {
      biased.addAll(List.of(LinearRole.GATE, LinearRole.UP, LinearRole.DOWN));
    }
    return biased;
  }

  private int defaultPositions() {
    return switch (architecture) {
      case MISTRAL -> 131072;
      case QWEN2, QWEN3 -> 32768;
      case LLAMA, OPT -> 2048;
    };
  }

  private int kvHeads(int heads) throws ModelFormatException {
    // Its default differs between the classes, so only LLaMA 1, which has none, may leave it out.
    int kvHeads =
        architecture == Architecture.LLAMA
            ? fields.size("num_key_value_heads", heads, heads)
            : fields.size("num_key_value_heads", heads);
    if (heads % kvHeads != 0) {
      throw fields.problem(
          "num_key_value_heads", "expected a divisor of " + heads + " heads, found " + kvHeads);
    }
    return kvHeads;
  }

  private int headDim(int hiddenSize, int heads) throws ModelFormatException {
    int headDim;
    if (fields.has("head_dim")) {
      headDim = fields.size("head_dim", MAX_WIDTH);
    } else if (architecture == Architecture.QWEN3) {
      headDim = 128;
    } else if (hiddenSize % heads == 0) {
      headDim = hiddenSize / heads;
    } else {
      throw fields.problem(
          "num_attention_heads",
          "expected a divisor of hidden_size " + hiddenSize + ", found " + heads);
    }
    if (headDim % 16 != 0 || headDim > MAX_HEAD_DIM) {
      throw fields.problem(
          "head_dim", "expected a multiple of 16 up to " + MAX_HEAD_DIM + ", found " + headDim);
    }
    return headDim;
  }

  private RopeConfig rope() throws ModelFormatException {
    fields.mustBe("partial_rotary_factor", 1);
    return RopeReader.read(fields);
  }

  /** Mistral windows every layer; Qwen those that {@code layer_types} or the layer's index say. */
  private List<Integer> slidingWindows(int layers) throws ModelFormatException {
    boolean qwen = architecture == Architecture.QWEN2 || architecture == Architecture.QWEN3;
    boolean used =
        qwen ? fields.flag("use_sliding_window", false) : architecture == Architecture.MISTRAL;
    int window = 0;
    int firstLayer = 0;
    if (qwen || used) {
      // Null says that there is none; a config without the field means the classes' default.
      int absent = fields.mentions("sliding_window") ? 0 : DEFAULT_WINDOW;
      window = fields.size("sliding_window", Integer.MAX_VALUE, absent);
    }
    if (qwen) {
      firstLayer =
          fields.has("max_window_layers")
              ? (int) fields.integer("max_window_layers", 0, Integer.MAX_VALUE)
              : 28;
    }
    if (!used) {
      window = 0;
    }
    List<Integer> windows = new ArrayList<>(layers);
    for (int layer = 0; layer < layers; layer++) {
      windows.add(layer < firstLayer ? 0 : window);
    }
    return fields.has("layer_types") ? layerTypes(windows, window) : List.copyOf(windows);
  }

  private List<Integer> layerTypes(List<Integer> implied, int window) throws ModelFormatException {
    List<String> types = fields.texts("layer_types");
    if (types.size() != implied.size()) {
      throw fields.problem(
          "layer_types", "expected " + implied.size() + " entries, found " + types.size());
    }
    List<Integer> windows = new ArrayList<>(types.size());
    for (String type : types) {
      if (type.equals("full_attention")) {
        windows.add(0);
      } else if (type.equals("sliding_attention") && window > 0) {
        windows.add(window);
      } else {
        throw fields.problem(
            "layer_types",
            "expected full_attention, or sliding_attention with a window, found " + type);
      }
    }
    return List.copyOf(windows);
  }

  private Optional<QuantizationConfig> quantization() throws ModelFormatException {
    Optional<ConfigFields> settings = fields.object(QuantizationJson.FIELD);
    return settings.isPresent()
        ? Optional.of(QuantizationJson.read(settings.get()))
        : Optional.empty();
  }

  private static Architecture architecture(ConfigFields fields) throws ModelFormatException {
    List<String> classes = fields.texts("architectures");
    Optional<String> modelType = fields.text("model_type");
    for (Architecture architecture : Architecture.values()) {
      boolean sameType = modelType.map(architecture.modelType()::equals).orElse(true);
      // Early LLaMA conversions wrote LLaMAForCausalLM.
      boolean sameClass =
          classes.isEmpty()
              ? modelType.isPresent()
              : classes.size() == 1
                  && classes.getFirst().equalsIgnoreCase(architecture.className());
      if (sameType && sameClass) {
        return architecture;
      }
    }
    List<String> known = new ArrayList<>();
    for (Architecture architecture : Architecture.values()) {
      known.add(architecture.name().toLowerCase(Locale.ROOT));
    }
    throw fields.problem(
        "model_type",
        "expected a causal language model of "
            + String.join(", ", known)
            + ", found "
            + modelType.orElse("none")
            + " "
            + classes);
  }

  private static List<Integer> generationEosIds(Path folder) throws IOException {
    Path file = folder.resolve(GENERATION_FILE_NAME);
    if (!Files.exists(file)) {
      return List.of();
    }
    return new ConfigFields(file, StrictJson.object(file, ModelFile.read(file, MAX_BYTES)))
        .ids("eos_token_id");
  }
}
