package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.TensorNames;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/**
 * A method that refuses a block whose numbers are too large, by the name of the tensor.
 *
 * @param method does the work
 * @param source the checkpoint
 */
record CheckedMethod(BlockMethod method, Path source) implements BlockMethod {
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
  public boolean followsFullPrecision() {
    return method.followsFullPrecision();
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) throws IOException {
    if (task.scheme().quantizesWeights()) {
      for (LinearRole role : task.block().roles()) {
        requireScales(task, role);
      }
    }
    if (!task.targets().isFinite()) {
      throw refusal(task.block(), "the activations of this block are not finite");
    }
    try {
      return method.quantize(task);
    } catch (ArithmeticException e) {
      throw refusal(task.block(), method.name() + " cannot quantize this block: " + e.getMessage());
    }
  }

  /** Rounds a linear to see whether its scales are fp16 numbers. */
  private void requireScales(BlockTask task, LinearRole role) throws ModelFormatException {
    float[] weight = task.block().linear(role).weight();
    try {
      NearestRounding.round(
          weight, task.layout(role), task.scheme().symmetric(), task.forward().workers());
    } catch (ArithmeticException e) {
      throw new ModelFormatException(
          source, task.block().name(role).weight(), e.getMessage() + "; rescale the model", e);
    }
  }

  private ModelFormatException refusal(TransformerBlock block, String problem) {
    TensorNames names = TensorNames.of(block.config().architecture());
    return new ModelFormatException(source, names.attention(block.layer()).name(), problem);
  }
}
