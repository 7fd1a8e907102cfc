package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Element;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Products of gemm with each epilogue. */
record GemmEpilogues(GpuFixture gpu, LargeGemm gemm, double limit) {
  /** Expects y; y and a bias as halves; both added to what was there. */
  void expect(
      TestWeights weights,
      InputTiler.Tiled x,
      LargeGemm.@Nullable CodeScales scales,
      float[] y,
      String what) {
    Random random = GpuFixture.random();
    int rows = weights.rows();
    float[] bias = GpuFixture.gaussian(random, rows, 1);
    float[] before = GpuFixture.gaussian(random, y.length, 1);
    DeviceRange deviceBias = gpu.floats(bias);
    for (Epilogue epilogue : Epilogue.values()) {
      boolean plain = epilogue == Epilogue.STORE_FLOAT;
      boolean adds = epilogue == Epilogue.ADD_FLOAT;
      Element element = epilogue == Epilogue.STORE_HALF ? Element.HALF : Element.FLOAT;
      float[] expected = y.clone();
      for (int i = 0; i < y.length; i++) {
        expected[i] += plain ? 0 : bias[i % rows] + (adds ? before[i] : 0);
      }
      MatrixRows out =
          adds ? gpu.floatRows(before, rows) : gpu.rows(element, y.length / rows, rows);
      gemm.multiply(
          gpu.stream(), weights.device(), plain ? null : deviceBias, x, scales, epilogue, out);
      gpu.expect(limit, expected, element, out, rows, what + ", " + epilogue);
      gpu.free(out.data());
    }
    gpu.free(deviceBias);
  }
}
