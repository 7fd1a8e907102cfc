package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.tensor.FakeQuantizer;

/**
 * Min-max quantization of each token.
 *
 * @param bits code width
 */
record PerTokenQuantizer(int bits) implements InputQuantizer {
  @Override
  public void quantize(float[] x, int from, int to, int width, float[] out) {
    FakeQuantizer.runs(x, from, to, width, bits, out);
  }

  @Override
  public void backward(float[] x, int from, int to, int width, float[] gradient) {
    FakeQuantizer.gradient(x, from, to, width, bits, gradient, gradient);
  }
}
