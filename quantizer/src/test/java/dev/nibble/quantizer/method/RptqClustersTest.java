package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorSource;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SequencedSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** RPTQ's own setting, 32 clusters an input and 4 a head, on channels 100-fold apart. */
class RptqClustersTest {
  private static final int WIDTH = 1024;
  private static final int CONTEXT = 48;
  private static final String SCHEME = "W8A4g32";

  @Test
  void moreClustersAreBetter() throws IOException {
    Draws draws = new Draws();
    try (WorkerThreads workers = new WorkerThreads(2)) {
      ModelConfig config = config();
      TransformerBlock block = TransformerBlock.load(new RandomWeights(draws), config, 0);
      for (InputSite site : InputSite.values()) {
        float[] scales = new float[Rescaling.scales(config, site)];
        for (int i = 0; i < scales.length; i++) {
          scales[i] = (float) Math.pow(100, draws.random().nextDouble() - 0.5);
        }
        Rescaling.apply(block, site, scales);
      }
      BlockForward forward = new BlockForward(config, CONTEXT, workers);
      HiddenStates x =
          new HiddenStates(
              new float[][] {draws.gaussian(CONTEXT * WIDTH), draws.gaussian(CONTEXT * WIDTH)});
      BlockTask task =
          new BlockTask(
              block,
              QuantScheme.parse(SCHEME),
              x,
              x,
              forward.run(block, BlockPrecision.FULL, x),
              forward,
              1,
              (done, total, loss) -> {});
      double one = loss(task, new Rptq(1));
      double four = loss(task, new Rptq(4));
      double all = loss(task, new Rptq(32));
      double milder = loss(task, new Rptq(32, OptionalInt.of(8)));
      String found = one + ", " + four + ", " + all + ", " + milder + ", " + Draws.seed();
      assertTrue(one > 1.4 * four, found);
      assertTrue(four > 2 * all, found);
      assertTrue(all > milder, found);
    }
  }

  private static double loss(BlockTask task, Rptq method) {
    QuantizedBlock made = method.quantize(task);
    HiddenStates found =
        task.forward().run(made.effective(), made.precision(), task.quantizedInputs());
    return task.targets().meanSquaredError(found);
  }

  private static ModelConfig config() {
    return new ModelConfig(
        Architecture.LLAMA,
        32,
        WIDTH,
        WIDTH,
        1,
        8,
        8,
        WIDTH / 8,
        CONTEXT,
        1e-5f,
        Optional.of(new ModelConfig.RopeConfig(10_000, Optional.empty())),
        List.of(0),
        true,
        ModelConfig.Activation.SILU,
        Set.of(),
        List.of(),
        List.of(),
        Optional.empty());
  }

  /** Norms of ones, and Gaussian weights that keep the size of their inputs. */
  private record RandomWeights(Draws draws) implements TensorSource {
    @Override
    public SequencedSet<String> names() {
      return Collections.unmodifiableSequencedSet(new LinkedHashSet<>());
    }

    @Override
    public Optional<Tensor> find(String name) {
      if (!name.endsWith(".weight")) {
        return Optional.empty();
      }
      boolean norm = name.contains("norm");
      float[] values = norm ? new float[WIDTH] : draws.gaussian(WIDTH * WIDTH);
      for (int i = 0; i < values.length; i++) {
        values[i] = norm ? 1 : values[i] / (float) Math.sqrt(WIDTH);
      }
      MemorySegment data = MemorySegment.ofArray(new byte[Float.BYTES * values.length]);
      MemorySegment.copy(values, 0, data, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values.length);
      List<Long> shape = norm ? List.of((long) WIDTH) : List.of((long) WIDTH, (long) WIDTH);
      return Optional.of(new Tensor(name, DType.F32, shape, data));
    }
  }
}
