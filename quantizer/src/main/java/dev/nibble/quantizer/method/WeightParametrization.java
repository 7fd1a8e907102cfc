package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedLinear;
import java.util.List;

/** How a linear's weights are rounded while a block is trained, and what is learned about it. */
interface WeightParametrization {
  /**
   * Rounds weights, exactly as {@link #freeze} will.
   *
   * @param weights [rows, columns]
   * @param rounded receives what the codes stand for
   */
  void round(float[] weights, float[] rounded);

  /**
   * Takes the gradient of the rounded weights back, and fills the parameters' gradients.
   *
   * @param weights what was rounded
   * @param gradient of the rounded weights; becomes that of the weights
   */
  void backward(float[] weights, float[] gradient);

  /** What is learned. */
  List<Parameter> parameters();

  /** The codes of weights. */
  QuantizedLinear freeze(float[] weights);
}
