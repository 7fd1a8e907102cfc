package dev.nibble.runtime;

import com.sun.management.OperatingSystemMXBean;
import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import dev.nibble.quantizer.tensor.FloatGemm;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.function.UnaryOperator;

/**
 * A method under watch, through the whole quantizer: it keeps each block as the calibrator computes
 * it, so that the packed model can be compared with it, and may change blocks before they are
 * written.
 */
public final class CalibratedModel implements BlockMethod {
  private static final int THREADS = 2;
  private static final int DRAWS = 8;

  /** Hears nothing. */
  public static final CalibratedQuantizer.Listener SILENT =
      new CalibratedQuantizer.Listener() {
        @Override
        public void step(int block, int blocks, long done, long total, double loss) {}

        @Override
        public void blockDone(int block, int blocks, double loss) {}

        @Override
        public void progress(String tensor, long doneBytes, long totalBytes) {}

        @Override
        public void quantized(LinearError linear) {}
      };

  private final BlockMethod method;
  private final UnaryOperator<QuantizedBlock> change;
  private final List<QuantizedBlock> blocks = new ArrayList<>();

  public CalibratedModel(BlockMethod method, UnaryOperator<QuantizedBlock> change) {
    this.method = method;
    this.change = change;
  }

  /** What this process has had of the cores: with it a limit holds on a busy machine too. */
  public static double coreSeconds() {
    OperatingSystemMXBean machine =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return machine.getProcessCpuTime() / 1e9;
  }

  /** Quantizes a folder on the first windows of the calibration text. */
  public CalibratedModel quantize(
      Path source, Path destination, String scheme, int windows, int context) throws IOException {
    quantize(this, source, destination, scheme, windows, context);
    return this;
  }

  /** The same by a method that nobody watches. */
  public static void quantize(
      BlockMethod method, Path source, Path destination, String scheme, int windows, int context)
      throws IOException {
    CalibratedQuantizer.quantize(
        new Request(source, destination, QuantScheme.parse(scheme), Existing.KEEP, THREADS),
        method,
        new Calibration(
            TestModels.resource("text/calibration.txt"), windows, context, 1, Interrupted.DISCARD),
        SILENT);
  }

  /** Perplexity of a LLaMA with a tied head, computed by the calibrator's forward pass. */
  public double perplexity(Path source, int[][] windows) throws IOException {
    return perplexity(source, windows, () -> 1);
  }

  /**
   * How far the calibrator's own perplexity moves, as a share of it, where each embedding is
   * multiplied by 1 + 1e-6 N(0, 1), which is what sums in another order do: inputs on the edge of
   * two codes fall to either side. No other program can be held to less. Root mean square of eight
   * draws.
   */
  public double roundingDeviation(Path source, int[][] windows) throws IOException {
    double exact = perplexity(source, windows);
    double squares = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
      Random random = new Random(draw);
      double moved = perplexity(source, windows, () -> 1 + 1e-6 * random.nextGaussian());
      squares += Math.pow(moved / exact - 1, 2);
    }
    return Math.sqrt(squares / DRAWS);
  }

  private double perplexity(Path source, int[][] windows, DoubleSupplier factor)
      throws IOException {
    int context = windows[0].length;
    try (Checkpoint checkpoint = Checkpoint.open(source);
        WorkerThreads workers = new WorkerThreads(THREADS)) {
      ModelConfig config = checkpoint.config();
      TensorNames names = TensorNames.of(config.architecture());
      float[] embedding = floats(checkpoint, names.embedding().weight());
      float[] norm = floats(checkpoint, names.finalNorm().weight());
      BlockForward forward = new BlockForward(config, context, workers);
      double loss = 0;
      for (int[] window : windows) {
        int hidden = config.hiddenSize();
        float[] x = new float[context * hidden];
        for (int i = 0; i < x.length; i++) {
          float value = embedding[window[i / hidden] * hidden + i % hidden];
          x[i] = (float) (value * factor.getAsDouble());
        }
        for (QuantizedBlock block : blocks) {
          forward.run(block.effective(), block.precision(), x, x);
        }
        normalize(x, norm, config.normEpsilon());
        float[] logits = new float[context * config.vocabSize()];
        new FloatGemm(workers)
            .multiply(
                FloatMatrix.of(x, context, hidden),
                FloatMatrix.of(embedding, config.vocabSize(), hidden).transposed(),
                FloatMatrix.of(logits, context, config.vocabSize()));
        loss += loss(logits, window);
      }
      return Math.exp(loss / ((context - 1L) * windows.length));
    }
  }

  @Override
  public String name() {
    return method.name();
  }

  @Override
  public Map<String, String> settings() {
    return method.settings();
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    method.check(config, scheme);
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) throws IOException {
    QuantizedBlock block = change.apply(method.quantize(task));
    blocks.add(block);
    return block;
  }

  private static float[] floats(Checkpoint checkpoint, String name) {
    return checkpoint.find(name).orElseThrow().toFloats();
  }

  private static void normalize(float[] x, float[] weight, float epsilon) {
    int width = weight.length;
    for (int at = 0; at < x.length; at += width) {
      double squares = 0;
      for (int i = 0; i < width; i++) {
        squares += (double) x[at + i] * x[at + i];
      }
      double inverse = 1 / Math.sqrt(squares / width + epsilon);
      for (int i = 0; i < width; i++) {
        x[at + i] = (float) (x[at + i] * inverse * weight[i]);
      }
    }
  }

  /** The sum of the losses of a window's tokens but the first, from its logits. */
  public static double loss(float[] logits, int[] window) {
    int vocab = logits.length / window.length;
    double loss = 0;
    for (int t = 0; t + 1 < window.length; t++) {
      double total = 0;
      for (int i = 0; i < vocab; i++) {
        total += Math.exp(logits[t * vocab + i]);
      }
      loss += Math.log(total) - logits[t * vocab + window[t + 1]];
    }
    return loss;
  }
}
