package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.LinearRole;
import java.util.EnumMap;
import java.util.Map;

/** Round to nearest: the codes of {@code rtn}. What other roundings are compared with. */
final class NearestBlocks implements BlockRounding {
  @Override
  public Map<String, String> settings() {
    return Map.of();
  }

  @Override
  public boolean followsFullPrecision() {
    return false;
  }

  @Override
  public RoundedLinears round(BlockTask task, TransformerBlock block) {
    Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
    for (LinearRole role : block.roles()) {
      linears.put(
          role,
          NearestRounding.round(
              block.linear(role).weight(),
              task.layout(role),
              task.scheme().symmetric(),
              task.forward().workers()));
    }
    task.progress().step(1, 1, Double.NaN);
    return new RoundedLinears(linears);
  }
}
