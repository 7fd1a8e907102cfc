package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.LinearRole;

/** Chooses the codes of a site's linears. */
@FunctionalInterface
interface LinearRounding {
  /**
   * Rounds a linear.
   *
   * @param role which
   * @param weights [rows, columns]; not changed
   * @return its codes
   * @throws ArithmeticException if a scale is too large for fp16
   */
  QuantizedLinear round(LinearRole role, float[] weights);
}
