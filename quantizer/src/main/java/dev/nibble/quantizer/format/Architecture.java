package dev.nibble.quantizer.format;

/** Model families Nibble knows, by the names {@code config.json} gives them. */
public enum Architecture {
  /** LLaMA 1 to 3. */
  LLAMA,
  /** Mistral: LLaMA with a sliding window. */
  MISTRAL,
  /** Qwen2: LLaMA with biases on q, k and v. */
  QWEN2,
  /** Qwen3: LLaMA with RMSNorm on q and k heads. */
  QWEN3,
  /** OPT: LayerNorm, biases, ReLU, learned positions. */
  OPT
}
