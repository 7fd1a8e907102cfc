package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockForward;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;

/** The first block of a tiny model, random inputs for it, and what a recipe makes of it. */
final class SampleBlock implements AutoCloseable {
  private static final int CONTEXT = 33;
  private static final int WINDOWS = 6;

  final TransformerBlock block;
  final BlockForward forward;
  final HiddenStates inputs;
  private final WorkerThreads workers = new WorkerThreads(2);

  SampleBlock(String model) throws IOException {
    try (Checkpoint checkpoint = Checkpoint.open(FolderQuantizerTest.tiny(model))) {
      block = TransformerBlock.load(checkpoint, checkpoint.config(), 0);
    }
    forward = new BlockForward(block.config(), CONTEXT, workers);
    Draws draws = new Draws();
    float[][] windows = new float[WINDOWS][];
    for (int w = 0; w < WINDOWS; w++) {
      windows[w] = draws.gaussian(CONTEXT * block.config().hiddenSize());
    }
    inputs = new HiddenStates(windows);
  }

  /** What a block that computes some function is to be quantized on. */
  BlockTask task(TransformerBlock of, String scheme) {
    return new BlockTask(
        of,
        QuantScheme.parse(scheme),
        inputs,
        inputs,
        outputs(of),
        forward,
        1,
        (done, total, loss) -> {});
  }

  /** The outputs of a block at full precision. */
  HiddenStates outputs(TransformerBlock of) {
    return forward.run(of, BlockPrecision.FULL, inputs);
  }

  /** The root of the mean squared error of a recipe's block, over that of the block's own share. */
  double error(
      TransformerBlock of, String scheme, List<BlockTransformation> steps, BlockRounding rounding) {
    return error(of, scheme, new BlockRecipe("sample", steps, rounding));
  }

  /** The same for any method. */
  double error(TransformerBlock of, String scheme, BlockMethod method) {
    BlockTask task = task(of, scheme);
    QuantizedBlock made;
    try {
      made = method.quantize(task);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    HiddenStates found = forward.run(made.effective(), made.precision(), inputs);
    double share = task.targets().meanSquaredError(inputs);
    return Math.sqrt(task.targets().meanSquaredError(found) / share);
  }

  @Override
  public void close() {
    workers.close();
  }
}
