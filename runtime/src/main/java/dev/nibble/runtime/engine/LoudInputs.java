package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.model.Linear;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The inputs of a linear that reach a magnitude and so are not quantized (LLM.int8()), found in
 * each token. The paper takes a channel for a whole batch as soon as one of its tokens reaches it;
 * here a token's outputs must not depend on what else is in the batch. Channels whose weights are
 * kept at 16 bits are not looked at.
 */
final class LoudInputs {
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final WeightMatrix.Packed weights;
  private final int[] kept;
  private final float threshold;

  LoudInputs(Linear linear) {
    weights = (WeightMatrix.Packed) linear.weights();
    kept = linear.outlierColumns().map(Linear.OutlierColumns::columns).orElseGet(() -> new int[0]);
    threshold = linear.outlierThreshold();
  }

  /** y[rows, out] += W x over the inputs that were left out of the quantized product. */
  void add(LinearInput input, float[] y) {
    float[] x = input.floats();
    int width = input.width();
    for (int row = 0; row < input.rows(); row++) {
      for (int column = 0; column < width; column++) {
        float value = x[row * width + column];
        if (!(Math.abs(value) < threshold) && Arrays.binarySearch(kept, column) < 0) {
          add(column, value, y, row * weights.rows());
        }
      }
    }
  }

  private void add(int column, float value, float[] y, int at) {
    PackedLayout layout = weights.layout();
    int group = layout.group(column);
    for (int n = 0; n < layout.rows(); n++) {
      long scaleAt = layout.scaleIndex(n, group);
      float scale = Float.float16ToFloat(weights.scales().get(HALF, Short.BYTES * scaleAt));
      int code = layout.code(weights.qweight(), n, column);
      y[at + n] += value * ((code - zero(scaleAt)) * scale);
    }
  }

  private int zero(long at) {
    MemorySegment zeros = weights.zeros();
    return zeros == null
        ? weights.layout().impliedZero()
        : zeros.get(ValueLayout.JAVA_BYTE, at) & 0xff;
  }
}
