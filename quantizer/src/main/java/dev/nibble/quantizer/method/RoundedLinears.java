package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.LinearRole;
import java.util.Map;
import java.util.Optional;

/**
 * What a rounding makes of a block.
 *
 * @param linears the codes of every linear
 * @param outputs what the block with these codes makes of the task's quantized inputs, if the
 *     rounding has it at hand
 */
record RoundedLinears(Map<LinearRole, QuantizedLinear> linears, Optional<HiddenStates> outputs) {
  RoundedLinears(Map<LinearRole, QuantizedLinear> linears) {
    this(linears, Optional.empty());
  }
}
