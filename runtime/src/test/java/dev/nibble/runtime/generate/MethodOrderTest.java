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
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which method is better than which on the default model, by what is packed and executed. */
class MethodOrderTest {
  private static final int SECONDS = 180;

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

  /** Perplexities after 32 windows of 256 tokens and 10 epochs; each run within its minutes. */
  @Tag("acceptance")
  @ParameterizedTest
  @CsvSource({
    "W3A16, 0",
    "W3A16, 1",
    "W3A16, 2",
    "W2A16g64, 0",
    "W2A16g64, 1",
    "W2A16g64, 2",
  })
  void trainedMethodsAreBelowNearest(String scheme, long seed) throws IOException {
    Options ten = Options.DEFAULT.withEpochs(10);
    Made nearest = full("nearest", scheme, Options.DEFAULT, seed);
    Made gptq = full("gptq", scheme, Options.DEFAULT, seed);
    Made clipped = full("omniquant", scheme, ten, seed);
    Made rounded = full("omniquant+par", scheme, ten.withParSteps(4), seed);
    Made decided = full("adaround", scheme, ten, seed);
    assertTrue(gptq.perplexity() < nearest.perplexity(), gptq + " against " + nearest);
    assertTrue(clipped.perplexity() < nearest.perplexity(), clipped + " against " + nearest);
    assertTrue(rounded.perplexity() < clipped.perplexity(), rounded + " against " + clipped);
    assertTrue(decided.perplexity() < nearest.perplexity(), decided + " against " + nearest);
  }

  @Tag("acceptance")
  @ParameterizedTest
  @CsvSource({"0", "1", "2"})
  void activationMethodsKeepTheirOrder(long seed) throws IOException {
    Made nearest = full("nearest", "W4A4KV4", Options.DEFAULT, seed);
    Made gptaq = full("gptaq", "W4A4KV4", Options.DEFAULT, seed);
    Made rotated = full("gptaq+rotate", "W4A4KV4", Options.DEFAULT, seed);
    assertTrue(gptaq.perplexity() <= nearest.perplexity(), gptaq + " against " + nearest);
    assertTrue(rotated.perplexity() <= gptaq.perplexity(), rotated + " against " + gptaq);
    Made one = full("rptq", "W4A4g32", Options.DEFAULT.withClusters(1), seed);
    Made all = full("rptq", "W4A4g32", Options.DEFAULT, seed);
    Made milder = full("rptq", "W4A4g32", Options.DEFAULT.withNormBits(8), seed);
    assertTrue(all.perplexity() < one.perplexity(), all + " against one cluster's " + one);
    assertTrue(milder.perplexity() < all.perplexity(), milder + " against " + all);
  }

  /** What came of a run. */
  private record Made(String method, Path folder, double loss, double seconds) {
    double perplexity() {
      try (Model model = Model.load(folder, Device.cpu(), ModelOptions.DEFAULT)) {
        String text = Files.readString(TestModels.resource("text/alice.txt"));
        return Perplexity.measure(model, text, 512, 16, (done, total, value) -> {}).perplexity();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private Made full(String method, String scheme, Options options, long seed) throws IOException {
    Made made = made(method, scheme, options, 32, 256, seed);
    assertTrue(made.seconds() < SECONDS, made.toString());
    return made;
  }

  private Made made(
      String method, String scheme, Options options, int samples, int context, long seed)
      throws IOException {
    Path packed = Files.createTempDirectory(folder, "made").resolve("packed");
    List<Double> losses = new ArrayList<>();
    long start = System.nanoTime();
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
    return new Made(
        method + " " + scheme, packed, losses.getLast(), (System.nanoTime() - start) / 1e9);
  }
}
