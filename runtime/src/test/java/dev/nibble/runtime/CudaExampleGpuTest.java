package dev.nibble.runtime;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;

@GpuTest
class CudaExampleGpuTest {
  @Test
  void theExampleDoubles() {
    float[] x = new float[1000];
    float[] doubled = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = i - 3.5f;
      doubled[i] = 2 * x[i];
    }
    assertArrayEquals(doubled, CudaExample.twice(x, CudaExample.PTX));
  }
}
