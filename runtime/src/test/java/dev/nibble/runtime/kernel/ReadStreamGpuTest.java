package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.runtime.cuda.DeviceRange;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** read_stream: together its blocks read each word once. */
@KernelTest
class ReadStreamGpuTest {
  private static GpuFixture gpu;
  private static ReadStream reader;

  @BeforeAll
  static void open() {
    gpu = GpuFixture.open(ReadStreamGpuTest.class);
    reader = new ReadStream(gpu.kernels());
  }

  @AfterAll
  static void close() {
    gpu.close();
  }

  @ParameterizedTest
  @CsvSource({"4, 1", "4, 7", "100, 3", "65540, 1", "131072, 33", "1000004, 264"})
  void everyWordIsRead(int words, int blocks) {
    Random random = GpuFixture.random();
    int[] data = random.ints(words).toArray();
    DeviceRange sums = gpu.room((long) Integer.BYTES * blocks);
    reader.launch(gpu.stream(), gpu.ints(data), blocks, sums);
    int[] found = gpu.download(sums).toArray(ValueLayout.JAVA_INT_UNALIGNED);
    if (!gpu.isTraced()) {
      assertEquals(
          Arrays.stream(data).reduce(0, (a, b) -> a ^ b),
          Arrays.stream(found).reduce(0, (a, b) -> a ^ b),
          words + " words, " + blocks + " blocks" + GpuFixture.seed());
    }
  }
}
