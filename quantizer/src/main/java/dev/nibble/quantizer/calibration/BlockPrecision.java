package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.QuantScheme;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/**
 * How a block's activations are rounded when it runs.
 *
 * @param inputs for each site what happens to the inputs of its linears
 * @param queryBits bits of the queries after RoPE
 * @param kvBits bits of the keys after RoPE and of the values
 */
public record BlockPrecision(Map<InputSite, InputQuantizer> inputs, int queryBits, int kvBits) {
  /** Nothing is rounded. */
  public static final BlockPrecision FULL = of(QuantScheme.W16A16);

  /**
   * Checks that no site is left out.
   *
   * @throws IllegalArgumentException if one is
   */
  public BlockPrecision {
    inputs = new EnumMap<>(inputs);
    if (inputs.size() != InputSite.values().length) {
      throw new IllegalArgumentException("sites " + inputs.keySet());
    }
  }

  /**
   * A scheme's: per token, dynamic.
   *
   * @param scheme the scheme
   * @return its precision
   */
  public static BlockPrecision of(QuantScheme scheme) {
    Map<InputSite, InputQuantizer> inputs = new EnumMap<>(InputSite.class);
    for (InputSite site : InputSite.values()) {
      inputs.put(site, InputQuantizer.perToken(scheme.activationBits()));
    }
    return new BlockPrecision(inputs, scheme.queryBits(), scheme.kvBits());
  }

  /**
   * What happens to a site's inputs.
   *
   * @param site which
   * @return its quantizer
   */
  public InputQuantizer input(InputSite site) {
    return Objects.requireNonNull(inputs.get(site));
  }

  /**
   * Whether a site's inputs stay as they are.
   *
   * @param site which
   * @return true if so
   */
  public boolean keeps(InputSite site) {
    return input(site) == InputQuantizer.NONE;
  }
}
