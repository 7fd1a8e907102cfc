package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockCalibration;
import dev.nibble.quantizer.calibration.CalibrationWindows;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.tensor.WorkerThreads;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Outliers that no scale of channels undoes: norms folded away, the residual stream is reflected so
 * that its principal direction becomes one channel. The function stays, and so do distances between
 * hidden states, by which methods are compared.
 */
class OrthogonalInjectionTest {
  private static final int SAMPLES = 4;
  private static final int CONTEXT = 128;

  @TempDir Path folder;

  @Test
  void rotationUndoesWhatScalesCannot() throws IOException {
    Path source = Path.of(System.getProperty("project.root"), "runtime/models/books-8m");
    Path loud = Files.createDirectory(folder.resolve("loud"));
    float[][] plain;
    try (Checkpoint checkpoint = Checkpoint.open(source);
        WorkerThreads workers = new WorkerThreads(2)) {
      ModelConfig config = checkpoint.config();
      plain = states(checkpoint);
      int hidden = config.hiddenSize();
      double[] direction = principal(plain[config.layers() / 2], hidden);
      RotatedFolder.write(
          checkpoint,
          loud,
          new ModelRotation(config, reflection(direction), identity(config.headDim()), workers));
    }
    try (Checkpoint checkpoint = Checkpoint.open(loud)) {
      float[][] found = states(checkpoint);
      int hidden = checkpoint.config().hiddenSize();
      for (int layer = 0; layer < plain.length; layer++) {
        assertEquals(1, squares(found[layer]) / squares(plain[layer]), 1e-4, "norms stay");
      }
      float[] middle = found[checkpoint.config().layers() / 2];
      double before = share(plain[plain.length / 2], hidden);
      double after = share(middle, hidden);
      assertTrue(after > 1.1 * before, "one channel's share " + after + ", before " + before);
    }
    double nearest = loss(loud, "nearest");
    double smoothed = loss(loud, "smoothquant+gptaq");
    double gptaq = loss(loud, "gptaq");
    double rotated = loss(loud, "gptaq+rotate");
    String found = nearest + ", " + smoothed + ", " + gptaq + ", " + rotated;
    assertTrue(gptaq < nearest, found);
    assertTrue(rotated < gptaq && rotated < smoothed, found);
  }

  /** Mean squared error of the last block's outputs against the full-precision model's. */
  private double loss(Path source, String method) throws IOException {
    List<Double> losses = new ArrayList<>();
    CalibratedQuantizer.quantize(
        new Request(source, folder.resolve(method), QuantScheme.parse("W4A4KV4"), Existing.KEEP, 2),
        MethodCatalog.create(method, MethodCatalog.Options.DEFAULT),
        new Calibration(text(), SAMPLES, CONTEXT, 1, Interrupted.DISCARD),
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
    return losses.getLast();
  }

  /** The residual stream after each block, all windows one after the other. */
  private static float[][] states(Checkpoint source) throws IOException {
    CalibrationWindows windows =
        CalibrationWindows.read(text(), TokenizerFiles.open(source.folder()), SAMPLES, CONTEXT);
    float[][] states = new float[source.config().layers()][];
    new BlockCalibration(
            source,
            QuantScheme.W16A16,
            windows,
            MethodCatalog.create("nearest", MethodCatalog.Options.DEFAULT),
            1)
        .run(
            2,
            new BlockCalibration.Journal() {
              @Override
              public Optional<BlockCalibration.State> resume() {
                return Optional.empty();
              }

              @Override
              public void blockDone(
                  QuantizedBlock block,
                  TransformerBlock of,
                  double loss,
                  BlockCalibration.State after) {
                states[after.blocks() - 1] = joined(after.full());
              }
            },
            (block, done, total, loss) -> {});
    return states;
  }

  private static float[] joined(HiddenStates states) {
    int size = states.window(0).length;
    float[] all = new float[states.windows() * size];
    for (int w = 0; w < states.windows(); w++) {
      System.arraycopy(states.window(w), 0, all, w * size, size);
    }
    return all;
  }

  private static Path text() {
    return Path.of(
        System.getProperty("project.root"), "runtime/src/test/resources/text/calibration.txt");
  }

  /** The direction in which rows are largest, by powers of x^T x. */
  private static double[] principal(float[] x, int width) {
    double[] direction = new double[width];
    for (int i = 0; i < width; i++) {
      direction[i] = x[i];
    }
    for (int turn = 0; turn < 50; turn++) {
      double[] next = new double[width];
      for (int at = 0; at < x.length; at += width) {
        double along = 0;
        for (int i = 0; i < width; i++) {
          along += x[at + i] * direction[i];
        }
        for (int i = 0; i < width; i++) {
          next[i] += along * x[at + i];
        }
      }
      double norm = 0;
      for (double value : next) {
        norm += value * value;
      }
      for (int i = 0; i < width; i++) {
        direction[i] = next[i] / Math.sqrt(norm);
      }
    }
    return direction;
  }

  /** The reflection that takes a direction to the first axis. */
  private static double[] reflection(double[] direction) {
    int n = direction.length;
    double[] v = direction.clone();
    v[0] -= 1;
    double norm = 0;
    for (double value : v) {
      norm += value * value;
    }
    double[] matrix = identity(n);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        matrix[i * n + j] -= 2 * v[i] * v[j] / norm;
      }
    }
    return matrix;
  }

  private static double[] identity(int n) {
    double[] matrix = new double[n * n];
    for (int i = 0; i < n; i++) {
      matrix[i * n + i] = 1;
    }
    return matrix;
  }

  private static double squares(float[] x) {
    double sum = 0;
    for (float value : x) {
      sum += (double) value * value;
    }
    return sum;
  }

  /** What part of all squares the largest channel has. */
  private static double share(float[] x, int width) {
    double[] sums = new double[width];
    for (int i = 0; i < x.length; i++) {
      sums[i % width] += (double) x[i] * x[i];
    }
    double largest = 0;
    for (double sum : sums) {
      largest = Math.max(largest, sum);
    }
    return largest / squares(x);
  }
}
