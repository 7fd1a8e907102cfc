package dev.nibble.quantizer.format;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * {@code quantization_config} of a packed folder's {@code config.json}.
 *
 * @param formatVersion version of the packed layout
 * @param scheme the scheme
 * @param method the method's name, such as {@code rtn}
 * @param settings the method's settings, by name
 * @param calibrationSha256 digest of the calibration text, lower-case hex; empty for data-free
 *     methods
 * @param bitsPerWeight what a weight of the quantized linears costs, scales and zeros included
 * @param keptModules modules that stay at 16 bits
 */
public record QuantizationConfig(
    int formatVersion,
    QuantScheme scheme,
    String method,
    Map<String, String> settings,
    Optional<String> calibrationSha256,
    double bitsPerWeight,
    List<String> keptModules) {
  /** The packed layout this version writes, and the only one it reads. */
  public static final int FORMAT_VERSION = 1;

  /** Copies the collections; settings keep their order. */
  public QuantizationConfig {
    settings = Collections.unmodifiableMap(new LinkedHashMap<>(settings));
    keptModules = List.copyOf(keptModules);
  }
}
