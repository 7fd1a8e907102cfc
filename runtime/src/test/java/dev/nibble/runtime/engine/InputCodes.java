package dev.nibble.runtime.engine;

/**
 * Inputs as codes less 2^(bits-1), each a float, with the scale and the zero of each token.
 *
 * @param values [tokens, width]
 * @param scales [tokens]
 * @param zeros [tokens]
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record InputCodes(float[] values, float[] scales, float[] zeros) {
  static final InputCodes NONE = new InputCodes(new float[0], new float[0], new float[0]);

  private static final int CLUSTER = 32;

  /** From each token's smallest value to its largest. */
  static InputCodes ofTokens(float[] x, int from, int tokens, int width, int bits) {
    InputCodes codes =
        new InputCodes(new float[tokens * width], new float[tokens], new float[tokens]);
    float half = 1 << (bits - 1);
    for (int t = 0; t < tokens; t++) {
      int row = t * width;
      CodeRange range = CodeRange.of(x, from + row, width, bits);
      codes.scales[t] = range.step();
      codes.zeros[t] = range.zero() - half;
      for (int i = 0; i < width; i++) {
        codes.values[row + i] = range.code(x[from + row + i]) - half;
      }
    }
    return codes;
  }

  /** Of fixed steps; the weights hold what the scales and zeros are. */
  static InputCodes ofClusters(
      float[] x, int from, int tokens, int width, int bits, float[] steps, int[] zeros) {
    InputCodes codes =
        new InputCodes(new float[tokens * width], new float[tokens], new float[tokens]);
    float half = 1 << (bits - 1);
    for (int t = 0; t < tokens; t++) {
      codes.scales[t] = 1;
      for (int i = 0; i < width; i++) {
        CodeRange range = new CodeRange(steps[i / CLUSTER], zeros[i / CLUSTER], 2 * half - 1);
        codes.values[t * width + i] = range.code(x[from + t * width + i]) - half;
      }
    }
    return codes;
  }

  int tokens() {
    return scales.length;
  }
}
