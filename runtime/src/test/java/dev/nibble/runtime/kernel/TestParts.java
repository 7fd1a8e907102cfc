package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.runtime.cuda.Element;
import dev.nibble.runtime.kernel.PackedGemv.Part;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Linears that share an input, each with a bias and an addend, and what must become of them. */
final class TestParts {
  private final GpuFixture gpu;
  private final Result result;
  private final Element element;
  private final List<Part> parts = new ArrayList<>();
  private final List<float[]> expected = new ArrayList<>();

  /**
   * Makes the parts of a product.
   *
   * @param rows of each
   * @param y the product, [tokens, {@link #paddedRows}]
   */
  TestParts(GpuFixture gpu, Random random, int[] rows, float[] y, Result result) {
    this.gpu = gpu;
    this.result = result;
    boolean adds = result == Result.ADD_FLOAT;
    element = adds || result == Result.STORE_FLOAT ? Element.FLOAT : Element.HALF;
    int padded = paddedRows(rows);
    int tokens = y.length / padded;
    int from = 0;
    for (int count : rows) {
      float[] bias = GpuFixture.gaussian(random, count, 1);
      float[] addend = GpuFixture.gaussian(random, tokens * count, 1);
      float[] before = GpuFixture.gaussian(random, tokens * count, 1);
      float[] v = TestWeights.part(y, padded, tokens, from, count);
      for (int i = 0; i < v.length; i++) {
        v[i] += bias[i % count] + addend[i] + (adds ? before[i] : 0);
      }
      expected.add(v);
      MatrixRows out = adds ? gpu.floatRows(before, count) : gpu.rows(element, tokens, count);
      parts.add(new Part(count, gpu.floats(bias), gpu.floatRows(addend, count), out));
      from += paddedRows(count);
    }
    try (ScalarOperations oracle = new ScalarOperations()) {
      if (result == Result.RELU_HALF) {
        expected.forEach(v -> oracle.relu(v, v.length));
      } else if (result == Result.SWIGLU_HALF) {
        oracle.swiGlu(expected.get(0), expected.get(1), expected.get(0).length);
      }
    }
  }

  /** Rows of parts: more than a block, fewer, and a whole one; gate and up have the same. */
  static int[] rows(Result result) {
    return result == Result.SWIGLU_HALF ? new int[] {70, 70} : new int[] {70, 33, 64};
  }

  /** Rows of weights that parts lie in. */
  static int paddedRows(int... rows) {
    int block = PackedLayout.ROW_BLOCK;
    return Arrays.stream(rows).map(count -> Math.ceilDiv(count, block) * block).sum();
  }

  List<Part> parts() {
    return parts;
  }

  void expect(double limit, String what) {
    for (int i = 0; i < (result == Result.SWIGLU_HALF ? 1 : parts.size()); i++) {
      Part part = parts.get(i);
      gpu.expect(
          limit, expected.get(i), element, part.y(), part.rows(), what + " " + result + " " + i);
    }
  }
}
