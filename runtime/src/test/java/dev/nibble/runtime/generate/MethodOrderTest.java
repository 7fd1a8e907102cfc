package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.TestModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which method is better than which on the default model, by what is packed and executed. */
class MethodOrderTest {
  @TempDir Path folder;

  /** By the last block's loss, on few windows. */
  @Test
  void clustersAreBetterThanOne() throws IOException {
    Made one = made("rptq", "W4A4g32", Options.DEFAULT.withClusters(1), 4, 128, 0);
    Made all = made("rptq", "W4A4g32", Options.DEFAULT, 4, 128, 0);
    Made milder = made("rptq", "W4A4g32", Options.DEFAULT.withNormBits(8), 4, 128, 0);
    assertTrue(all.loss() < one.loss(), all + " against one cluster's " + one);
    assertTrue(milder.loss() < all.loss(), milder + " against " + all);
  }

  /** By the last block's loss, on few windows. */
  @Test
  void adaptiveRoundingIsBelowOmniQuant() throws IOException {
    Options few = Options.DEFAULT.withEpochs(4);
    Made nearest = made("nearest", "W2A16g64", Options.DEFAULT, 8, 128, 0);
    Made clipped = made("omniquant", "W2A16g64", few, 8, 128, 0);
    Made rounded = made("omniquant+par", "W2A16g64", few.withParSteps(1), 8, 128, 0);
    assertTrue(clipped.loss() < nearest.loss(), clipped + " against " + nearest);
    assertTrue(rounded.loss() < clipped.loss(), rounded + " against " + clipped);
  }

  /** What came of a run. */
  private record Made(String method, double loss) {}

  private Made made(
      String method, String scheme, Options options, int samples, int context, long seed)
      throws IOException {
    Path packed = Files.createTempDirectory(folder, "made").resolve("packed");
    List<Double> losses = new ArrayList<>();
    CalibratedQuantizer.quantize(
        new Request(TestModels.books8m(), packed, QuantScheme.parse(scheme), Existing.KEEP, 2),
        MethodCatalog.create(method, options),
        new Calibration(
            TestModels.resource("text/calibration.txt"),
            samples,
            context,
            seed,
            Interrupted.DISCARD),
        new CalibratedQuantizer.Listener() {
          @Override
          public void step(int block, int blocks, long done, long total, double loss) {}

          @Override
          public void blockDone(int block, int blocks, double loss) {
            losses.add(loss);
          }

          @Override
          public void progress(String tensor, long doneBytes, long totalBytes) {}

          @Override
          public void quantized(LinearError linear) {}
        });
    return new Made(method + " " + scheme, losses.getLast());
  }
}
