package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.InputQuantizer;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class OutlierMethodsTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int CONTEXT = 19;
  private static final int LOUD = 37;

  @Test
  void loudChannelIsKept() throws IOException {
    for (BlockMethod method : new BlockMethod[] {new LlmInt8(), Owq.DEFAULT}) {
      QuantizedBlock made = quantize(method, "W8A8sym", 2);
      Tensor columns = tensor(made, "q_proj.outlier_columns");
      boolean found = false;
      for (long at = 0; at < columns.data().byteSize(); at += 4) {
        found |= columns.data().get(ValueLayout.JAVA_INT_UNALIGNED, at) == LOUD;
      }
      assertTrue(found, method.name() + ", -Dtests.seed=" + SEED);
      QuantizedLinear query = made.linears().get(LinearRole.QUERY);
      for (int row = 0; row < query.layout().rows(); row++) {
        assertEquals((byte) 128, query.codes()[row * query.layout().columns() + LOUD]);
      }
    }
  }

  /** What reaches the threshold in a token stays, and counts for no range of its token. */
  @Test
  void loudInputsAreFoundInEachToken() {
    int width = 40;
    float[] x = gaussian(new Random(SEED), 3 * width);
    x[width + 7] = 50;
    x[2 * width + 3] = -6;
    InputQuantizer quantizer = new OutlierColumns(new int[] {11}, width).quantizer(8, 6);
    float[] found = new float[x.length];
    quantizer.quantize(x, 0, 3, width, found);
    float[] quiet = x.clone();
    for (int t = 0; t < 3; t++) {
      quiet[t * width + 11] = 0;
    }
    quiet[width + 7] = 0;
    quiet[2 * width + 3] = 0;
    float[] expected = new float[x.length];
    InputQuantizer.perToken(8).quantize(quiet, 0, 3, width, expected);
    for (int i = 0; i < x.length; i++) {
      boolean kept = i % width == 11 || i == width + 7 || i == 2 * width + 3;
      assertEquals(kept ? x[i] : expected[i], found[i], i + ", -Dtests.seed=" + SEED);
    }
  }

  /** Codes and what lies beside them are the weights the calibrator goes on with. */
  @Test
  void singlesAndCodesAreTheEffectiveWeights() throws IOException {
    QuantizedBlock made = quantize(SpQr.DEFAULT, "W3A16g32", 2);
    float[] weights = made.linears().get(LinearRole.DOWN).toFloats();
    int columns = made.linears().get(LinearRole.DOWN).layout().columns();
    float[] values = tensor(made, "down_proj.outlier_values").toFloats();
    Tensor rows = tensor(made, "down_proj.outlier_rows");
    Tensor indices = tensor(made, "down_proj.outlier_indices");
    assertEquals(0.01 * weights.length, (double) values.length, 1);
    for (int row = 0; row < weights.length / columns; row++) {
      for (int i = at(rows, row); i < at(rows, row + 1); i++) {
        assertEquals(0f, weights[row * columns + at(indices, i)], "the code stands for 0");
        weights[row * columns + at(indices, i)] = values[i];
      }
    }
    assertArrayEquals(made.effective().linear(LinearRole.DOWN).weight(), weights);
  }

  @ParameterizedTest
  @CsvSource({"owq, W3A16", "owq, W4A6g32", "spqr, W2A16g64", "llm.int8, W8A8sym"})
  void threadsChangeNothing(String method, String scheme) throws IOException {
    BlockMethod blocks = MethodCatalog.create(method, MethodCatalog.Options.DEFAULT);
    QuantizedBlock one = quantize(blocks, scheme, 1);
    QuantizedBlock two = quantize(blocks, scheme, 2);
    for (int i = 0; i < one.tensors().size(); i++) {
      assertEquals(-1, one.tensors().get(i).data().mismatch(two.tensors().get(i).data()));
    }
    one.linears()
        .forEach(
            (role, linear) -> assertArrayEquals(linear.codes(), two.linears().get(role).codes()));
  }

  /** At 2 and 3 bits a hundredth of the weights kept makes the block better than GPTQ alone. */
  @ParameterizedTest
  @CsvSource({"owq, W3A16", "owq, W2A16", "spqr, W3A16", "spqr, W2A16g64"})
  void keepingWeightsHelps(String method, String scheme) throws IOException {
    double kept = loss(MethodCatalog.create(method, MethodCatalog.Options.DEFAULT), scheme);
    double alone = loss(MethodCatalog.create("gptq", MethodCatalog.Options.DEFAULT), scheme);
    assertTrue(kept < alone, kept + " against " + alone + ", -Dtests.seed=" + SEED);
  }

  @ParameterizedTest
  @CsvSource({
    "owq, W16A16KV4",
    "spqr, W16A16",
    "spqr, W4A8g32",
    "llm.int8, W8A8",
    "llm.int8, W8A8g32sym",
    "llm.int8, W4A8sym"
  })
  void refusesWhatItCannotDo(String method, String scheme) throws IOException {
    ModelConfig config = ModelConfig.read(FolderQuantizerTest.tiny("llama3"));
    BlockMethod blocks = MethodCatalog.create(method, MethodCatalog.Options.DEFAULT);
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> blocks.check(config, QuantScheme.parse(scheme)));
    assertTrue(e.getMessage().contains(method) && e.getMessage().contains(scheme));
  }

  private static float[] gaussian(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static int at(Tensor tensor, int index) {
    return tensor.data().get(ValueLayout.JAVA_INT_UNALIGNED, 4L * index);
  }

  private static Tensor tensor(QuantizedBlock made, String name) {
    return made.tensors().stream().filter(t -> t.name().endsWith(name)).findFirst().orElseThrow();
  }

  private static double loss(BlockMethod method, String scheme) throws IOException {
    try (Checkpoint source = Checkpoint.open(FolderQuantizerTest.tiny("llama3"));
        WorkerThreads workers = new WorkerThreads(1)) {
      BlockTask task = task(source, scheme, workers);
      QuantizedBlock made = method.quantize(task);
      return task.targets()
          .meanSquaredError(
              task.forward().run(made.effective(), made.precision(), task.fullInputs()));
    }
  }

  private static QuantizedBlock quantize(BlockMethod method, String scheme, int threads)
      throws IOException {
    try (Checkpoint source = Checkpoint.open(FolderQuantizerTest.tiny("llama3"));
        WorkerThreads workers = new WorkerThreads(threads)) {
      return method.quantize(task(source, scheme, workers));
    }
  }

  /** A block with a loud channel in front of the attention. */
  private static BlockTask task(Checkpoint source, String scheme, WorkerThreads workers)
      throws IOException {
    ModelConfig config = source.config();
    TransformerBlock block = TransformerBlock.load(source, config, 0);
    block.attentionNorm().weight()[LOUD] *= 30;
    BlockForward forward = new BlockForward(config, CONTEXT, workers);
    Random random = new Random(SEED);
    float[][] windows = new float[24][CONTEXT * config.hiddenSize()];
    for (float[] window : windows) {
      for (int i = 0; i < window.length; i++) {
        window[i] = (float) random.nextGaussian();
      }
    }
    HiddenStates inputs = new HiddenStates(windows);
    return new BlockTask(
        block,
        QuantScheme.parse(scheme),
        inputs,
        inputs,
        forward.run(block, BlockPrecision.FULL, inputs),
        forward,
        SEED,
        (done, total, loss) -> {});
  }
}
