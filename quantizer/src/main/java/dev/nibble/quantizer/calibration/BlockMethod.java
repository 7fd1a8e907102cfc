package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.io.IOException;
import java.util.Map;

/** A quantization method that works on one block after the other. */
public interface BlockMethod {
  /**
   * The method's name.
   *
   * @return such as {@code omniquant}
   */
  String name();

  /**
   * What its result depends on besides the calibration text.
   *
   * @return settings by name, in a fixed order; they are written to {@code config.json}
   */
  Map<String, String> settings();

  /**
   * Refuses what the method cannot do.
   *
   * @param config the model
   * @param scheme the scheme
   * @throws IllegalArgumentException if it cannot; the message says which schemes it can
   */
  void check(ModelConfig config, QuantScheme scheme);

  /**
   * Whether the method reads what the full-precision model computes. If not, that is computed for
   * some windows only, to tell the loss.
   *
   * @return whether {@link BlockTask#fullInputs} and {@link BlockTask#targets} have to hold every
   *     window
   */
  default boolean followsFullPrecision() {
    return true;
  }

  /**
   * Quantizes a block. The result depends on the task alone: not on threads, not on blocks before.
   *
   * @param task the block and its inputs
   * @return what was made of it
   * @throws IOException if it cannot be done
   */
  QuantizedBlock quantize(BlockTask task) throws IOException;
}
