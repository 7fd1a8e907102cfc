package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A method made of steps: transformations that keep the block's function, then a rounding of its
 * weights. Activations are rounded per token.
 *
 * @param name the method's name
 * @param transformations the steps before rounding, in order
 * @param rounding how codes are chosen
 */
record BlockRecipe(String name, List<BlockTransformation> transformations, BlockRounding rounding)
    implements BlockMethod {
  BlockRecipe {
    transformations = List.copyOf(transformations);
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    transformations.forEach(step -> settings.putAll(step.settings()));
    settings.putAll(rounding.settings());
    return settings;
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (!transformations.isEmpty() && !scheme.quantizesWeights()) {
      throw new IllegalArgumentException(
          "method "
              + name
              + ": weights of 16 bits are copied as they are; it can do schemes of W2 to W8");
    }
    transformations.forEach(step -> step.check(config, scheme));
  }

  @Override
  public boolean followsFullPrecision() {
    return !transformations.isEmpty() || rounding.followsFullPrecision();
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    TransformerBlock block = task.block().copy();
    transformations.forEach(step -> step.apply(task, block));
    RoundedLinears rounded =
        task.scheme().quantizesWeights()
            ? rounding.round(task, block)
            : new RoundedLinears(Map.of());
    QuantizedBlock made =
        QuantizedBlock.of(task.block(), block, rounded.linears(), BlockPrecision.of(task.scheme()));
    return rounded.outputs().map(made::withOutputs).orElse(made);
  }
}
