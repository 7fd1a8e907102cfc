package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.SyntheticFolder;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;

/** A packed folder on its way to a GPU, its checksums held against what goes by. */
@GpuTest
class CudaLoadGpuTest {
  private static final QuantScheme SCHEME = QuantScheme.parse("W4A16g128");
  private static final double SLOWEST = 1e9;

  @TempDir Path folder;

  @Test
  void whatArrivesIsWhatWasSent() throws IOException {
    SyntheticFolder.write("books-8m", SCHEME, folder);
    int[] tokens = {5, 100, 7, 2000, 31};
    float[] eager;
    try (Engine engine =
        Engine.create(
            ModelWeights.of(Checkpoint.open(folder)), Device.cuda(0), ModelOptions.DEFAULT)) {
      eager = TestModels.logits(engine, tokens);
    }
    try (Engine engine =
        Engine.create(
            ModelWeights.of(Checkpoint.openUnread(folder)), Device.cuda(0), ModelOptions.DEFAULT)) {
      assertArrayEquals(eager, TestModels.logits(engine, tokens));
    }
  }

  /** Of files that the host has just written, and so has in memory. */
  @Tag("acceptance")
  @Test
  void aLargeModelComesAtTheSpeedOfTheBus(TestReporter reporter) throws IOException {
    long bytes = SyntheticFolder.write("llama-2-7b", SCHEME, folder);
    double best = Double.MAX_VALUE;
    for (int run = 0; run < 3; run++) {
      long began = System.nanoTime();
      try (Checkpoint checkpoint = Checkpoint.openUnread(folder);
          Engine engine =
              Engine.create(
                  ModelWeights.of(checkpoint),
                  Device.cuda(0),
                  ModelOptions.DEFAULT.withContextLength(512))) {
        double seconds = (System.nanoTime() - began) / 1e9;
        best = Math.min(best, seconds);
        reporter.publishEntry(
            String.format(
                Locale.ROOT,
                "%d bytes to %s in %.3f s, the engine included: %.2f GB/s",
                bytes,
                engine.device(),
                seconds,
                bytes / seconds / 1e9));
      }
    }
    assertTrue(bytes / best >= SLOWEST, bytes / best + " bytes a second");
  }
}
