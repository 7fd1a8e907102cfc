package dev.nibble.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.kernel.AroundBench;
import dev.nibble.bench.kernel.AttentionBench;
import dev.nibble.bench.kernel.AttentionShape;
import dev.nibble.bench.kernel.BesideBench;
import dev.nibble.bench.kernel.ProductBench;
import dev.nibble.bench.kernel.RowBench;
import dev.nibble.bench.kernel.StepProductBench;
import dev.nibble.bench.kernel.Timed;
import dev.nibble.bench.kernel.Workbench;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The bodies that need a GPU. {@code -Dgpu=required} makes its absence an error. */
@EnabledIf("gpuIsHereOrRequired")
class GpuBenchmarksTest {
  static boolean gpuIsHereOrRequired() {
    return "required".equals(System.getProperty("gpu"))
        || CudaDevices.probe() instanceof CudaStatus.Ready;
  }

  @Test
  void bothWaysGiveTheDriversVersion() throws Throwable {
    DriverCalls benchmark = new DriverCalls();
    benchmark.open();
    try {
      assertEquals(0, benchmark.versionJni());
      assertTrue(benchmark.jniVersion() >= 12000, "version " + benchmark.jniVersion());
      assertEquals(0, benchmark.versionPlain());
      assertEquals(benchmark.jniVersion(), benchmark.version());
      assertEquals(0, benchmark.versionCritical());
      assertEquals(benchmark.jniVersion(), benchmark.version());
      assertEquals(0, benchmark.structPlain());
      assertEquals(0, benchmark.structCritical());
      assertEquals(0, benchmark.structJni());
    } finally {
      benchmark.close();
    }
  }

  @Test
  void launchesAndCopiesReachTheDevice() throws IOException {
    Launches benchmark = new Launches();
    benchmark.open();
    try {
      benchmark.launchFfm();
      benchmark.launchJni();
      benchmark.graphFfm();
      benchmark.graphJni();
      benchmark.copyJni();
      assertEquals(0x1234567, benchmark.copied(0x1234567));
    } finally {
      benchmark.close();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"W16A16", "W4A16g128", "W3A16g128", "W2A16g64", "W8A16", "W4A8", "W4A8g128"})
  void productsAreCheckedAndTimed(String scheme) {
    try (Workbench bench = Workbench.open()) {
      List<Timed> times =
          new ProductBench(bench, 5)
              .run(new LinearShape(320, 640), QuantScheme.parse(scheme), List.of(1, 16, 130));
      assertTrue(times.size() >= 5, times.toString());
      assertTrue(times.stream().allMatch(t -> t.microseconds().min() > 0), times.toString());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"W16A16", "W4A16g128", "W3A16g128", "W2A16g128", "W8A16"})
  void productsOfAStepAreCheckedAndTimed(String scheme) {
    try (Workbench bench = Workbench.open()) {
      for (StepProductBench.Form form : StepProductBench.Form.values()) {
        Timed time =
            new StepProductBench(bench, 5)
                .run(new LinearShape(384, 640), QuantScheme.parse(scheme), form);
        assertEquals(form.label(), time.parameters().get("as"));
        assertTrue(time.microseconds().min() > 0, time.toString());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 8, 4, 3})
  void attentionIsCheckedAndTimed(int bits) {
    try (Workbench bench = Workbench.open()) {
      AttentionBench attention = new AttentionBench(bench, 5);
      assertTrue(
          attention.decode(new AttentionShape(8, 2, 128, bits, 3, 77)).microseconds().min() > 0);
      assertTrue(
          attention.prefill(new AttentionShape(8, 2, 128, 16, 1, 77)).microseconds().min() > 0);
      if (bits < 16) {
        assertTrue(
            attention.stage(new AttentionShape(8, 2, 128, bits, 1, 77)).microseconds().min() > 0);
      }
    }
  }

  @Test
  void rowsAreCheckedAndTimed() {
    try (Workbench bench = Workbench.open()) {
      assertEquals(3, new RowBench(bench, 5).run(5, 640, 8).size());
    }
  }

  @Test
  void whatStandsAroundProductsIsCheckedAndTimed() {
    try (Workbench bench = Workbench.open()) {
      AroundBench around = new AroundBench(bench, 5);
      assertTrue(around.embedding(5, 1001, 328).microseconds().min() > 0);
      assertTrue(around.swiGlu(5, 328).microseconds().min() > 0);
      assertTrue(around.sample(5, 1001).microseconds().min() > 0);
      for (int bits : new int[] {16, 8, 4, 3}) {
        assertTrue(around.rotate(33, 4, 128, bits).microseconds().min() > 0);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"W4A16g128", "W3A16", "W2A16g64", "W8A16sym"})
  void whatStandsBesideProductsIsCheckedAndTimed(String scheme) {
    try (Workbench bench = Workbench.open()) {
      BesideBench beside = new BesideBench(bench, 5);
      LinearShape shape = new LinearShape(320, 640);
      assertTrue(beside.outliers(shape, 7, 33).microseconds().min() > 0);
      assertTrue(beside.rowSums(shape, QuantScheme.parse(scheme)).microseconds().min() > 0);
    }
  }
}
