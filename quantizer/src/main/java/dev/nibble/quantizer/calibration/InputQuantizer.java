package dev.nibble.quantizer.calibration;

/** What happens to the inputs of the linears of one site. Thread-safe. */
public interface InputQuantizer {
  /** Inputs stay as they are. */
  InputQuantizer NONE =
      (x, from, to, width, out) ->
          System.arraycopy(x, from * width, out, from * width, (to - from) * width);

  /**
   * Quantizes rows and restores them.
   *
   * @param x [tokens, width]
   * @param from first row
   * @param to one past the last
   * @param width channels
   * @param out as x; another array
   */
  void quantize(float[] x, int from, int to, int width, float[] out);

  /**
   * Takes the gradient of restored rows back; unless overridden it passes straight through.
   *
   * @param x [tokens, width], the inputs that were quantized
   * @param from first row
   * @param to one past the last
   * @param width channels
   * @param gradient of the outputs; becomes that of the inputs
   */
  default void backward(float[] x, int from, int to, int width, float[] gradient) {}

  /**
   * Dynamic quantization per token, the default of every scheme.
   *
   * @param bits code width; 16 leaves inputs as they are
   * @return the quantizer
   */
  static InputQuantizer perToken(int bits) {
    return bits >= 16 ? NONE : new PerTokenQuantizer(bits);
  }
}
