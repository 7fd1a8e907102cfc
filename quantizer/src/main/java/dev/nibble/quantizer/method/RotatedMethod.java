package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A method that works on a rotated copy of the checkpoint, see {@link ModelRotation}; {@link
 * CalibratedQuantizer} makes the copy.
 *
 * @param method what quantizes the copy
 */
record RotatedMethod(BlockMethod method) implements BlockMethod {
  /** What is added to the method's name. */
  static final String SUFFIX = "+rotate";

  @Override
  public String name() {
    return method.name() + SUFFIX;
  }

  @Override
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("rotation", "R1, R2");
    settings.putAll(method.settings());
    return settings;
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
    return method.quantize(task);
  }
}
