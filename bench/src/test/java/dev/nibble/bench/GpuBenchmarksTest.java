package dev.nibble.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

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
}
