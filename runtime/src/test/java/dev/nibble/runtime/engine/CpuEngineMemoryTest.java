package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cache.KvCache;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CpuEngineMemoryTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

  @ParameterizedTest
  @CsvSource({"32, 64", "16, 64", "8, 64", "4, 64", "3, 64", "3, 4096"})
  void theCacheTakesWhatIsPlanned(int bits, int context) {
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.W16A16);
    var config = weights.config();
    KvCache cache = new KvCache(config, bits, context);
    long bytes = 0;
    for (int layer = 0; layer < config.layers(); layer++) {
      bytes += cache.layer(layer).bytes();
    }
    long planned = context * KvCache.bytesPerToken(config, bits);
    long slackOfALayer = 64;
    assertTrue(bytes - planned >= 0 && bytes - planned <= config.layers() * slackOfALayer);
    weights.close();
  }

  @Test
  void theWorkspaceTakesWhatIsPlanned() {
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.W16A16);
    WorkspaceShape shape = WorkspaceShape.of(weights, ModelOptions.DEFAULT);
    long before = THREADS.getCurrentThreadAllocatedBytes();
    Workspace workspace = new Workspace(shape);
    Sampler.Scratch scratch = new Sampler.Scratch(shape.vocab());
    long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
    assertEquals(1, (double) allocated / shape.bytes(), 0.01);
    assertTrue(workspace.x.length > 0 && scratch != null);
    weights.close();
  }
}
