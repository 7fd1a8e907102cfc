package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.tensor.FakeQuantizer;

/** What happens to the inputs of the linears of one site. Thread-safe. */
@FunctionalInterface
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
   * Dynamic quantization per token, the default of every scheme.
   *
   * @param bits code width; 16 leaves inputs as they are
   * @return the quantizer
   */
  static InputQuantizer perToken(int bits) {
    return bits >= 16
        ? NONE
        : (x, from, to, width, out) -> FakeQuantizer.runs(x, from, to, width, bits, out);
  }
}
