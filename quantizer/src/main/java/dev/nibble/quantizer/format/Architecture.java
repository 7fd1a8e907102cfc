package dev.nibble.quantizer.format;

/** Model families Nibble knows, by the names {@code config.json} gives them. */
public enum Architecture {
  /** LLaMA 1 to 3. */
  LLAMA("llama", "LlamaForCausalLM"),
  /** Mistral: LLaMA with a sliding window. */
  MISTRAL("mistral", "MistralForCausalLM"),
  /** Qwen2: LLaMA with biases on q, k and v. */
  QWEN2("qwen2", "Qwen2ForCausalLM"),
  /** Qwen3: LLaMA with RMSNorm on q and k heads. */
  QWEN3("qwen3", "Qwen3ForCausalLM"),
  /** OPT: LayerNorm, biases, ReLU, learned positions. */
  OPT("opt", "OPTForCausalLM");

  private final String modelType;
  private final String className;

  Architecture(String modelType, String className) {
    this.modelType = modelType;
    this.className = className;
  }

  /**
   * The family's {@code model_type}.
   *
   * @return such as {@code llama}
   */
  public String modelType() {
    return modelType;
  }

  /**
   * The family's entry in {@code architectures}.
   *
   * @return such as {@code LlamaForCausalLM}
   */
  public String className() {
    return className;
  }
}
