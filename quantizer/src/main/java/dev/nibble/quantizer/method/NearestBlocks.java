package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.util.EnumMap;
import java.util.Map;

/**
 * Round to nearest, block by block: the codes of {@code rtn}, with the loss of each block on the
 * calibration text. What other methods are compared with.
 */
final class NearestBlocks implements BlockMethod {
  @Override
  public String name() {
    return "nearest";
  }

  @Override
  public Map<String, String> settings() {
    return Map.of();
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {}

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
    if (task.scheme().quantizesWeights()) {
      for (LinearRole role : task.block().roles()) {
        linears.put(
            role,
            NearestRounding.round(
                task.block().linear(role).weight(),
                task.layout(role),
                task.scheme().symmetric(),
                task.forward().workers()));
      }
    }
    task.progress().step(1, 1, Double.NaN);
    return QuantizedBlock.of(
        task.block(), task.block().copy(), linears, BlockPrecision.of(task.scheme()));
  }
}
