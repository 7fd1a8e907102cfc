package dev.nibble.quantizer.format;

/** What a linear of a block does; {@link TensorNames} has the names. */
public enum LinearRole {
  /** Queries from the attention norm's output. */
  QUERY,
  /** Keys from the attention norm's output. */
  KEY,
  /** Values from the attention norm's output. */
  VALUE,
  /** The residual's share of the attention's output. */
  OUTPUT,
  /** SwiGLU's gate, from the MLP norm's output; OPT has none. */
  GATE,
  /** The MLP's first linear, from the MLP norm's output. */
  UP,
  /** The MLP's last linear, to the residual. */
  DOWN
}
