package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.GpuTest;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.SyntheticFolder;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A packed folder on its way to a GPU, its checksums held against what goes by. */
@GpuTest
class CudaLoadGpuTest {
  private static final QuantScheme SCHEME = QuantScheme.parse("W4A16g128");

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
}
