package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** {@code quantization_config} as JSON, read and written. */
final class QuantizationJson {
  static final String FIELD = "quantization_config";

  private static final String QUANT_METHOD = "quant_method";
  private static final String NIBBLE = "nibble";
  private static final String FORMAT_VERSION = "format_version";
  private static final String SCHEME = "scheme";
  private static final String METHOD = "method";
  private static final String SETTINGS = "settings";
  private static final String CALIBRATION = "calibration_sha256";
  private static final String BITS_PER_WEIGHT = "bits_per_weight";
  private static final String KEPT_MODULES = "modules_to_not_convert";

  private QuantizationJson() {}

  static QuantizationConfig read(ConfigFields fields) throws ModelFormatException {
    String quantMethod = fields.requiredText(QUANT_METHOD);
    if (!quantMethod.equals(NIBBLE)) {
      throw fields.problem(
          QUANT_METHOD,
          "expected " + NIBBLE + ", found " + quantMethod + "; quantize the original checkpoint");
    }
    int version = fields.size(FORMAT_VERSION, Integer.MAX_VALUE);
    if (version != QuantizationConfig.FORMAT_VERSION) {
      throw fields.problem(
          FORMAT_VERSION,
          "expected "
              + QuantizationConfig.FORMAT_VERSION
              + ", found "
              + version
              + "; quantize the model again, or use the Nibble that made it");
    }
    Map<String, String> settings = new LinkedHashMap<>();
    Optional<ConfigFields> object = fields.object(SETTINGS);
    if (object.isPresent()) {
      for (String name : object.get().names()) {
        settings.put(name, object.get().requiredText(name));
      }
    }
    Optional<String> calibration = fields.text(CALIBRATION);
    if (calibration.isPresent() && !calibration.get().matches("[0-9a-f]{64}")) {
      throw fields.problem(CALIBRATION, "expected 64 hex digits, found " + calibration.get());
    }
    QuantizationConfig config =
        new QuantizationConfig(
            version,
            scheme(fields),
            fields.requiredText(METHOD),
            settings,
            calibration,
            fields.positive(BITS_PER_WEIGHT),
            fields.texts(KEPT_MODULES));
    fields.refuseUnknown();
    return config;
  }

  static ObjectNode write(QuantizationConfig config) {
    ObjectNode node = StrictJson.newObject();
    node.put(QUANT_METHOD, NIBBLE);
    node.put(FORMAT_VERSION, config.formatVersion());
    node.put(SCHEME, config.scheme().toString());
    node.put(METHOD, config.method());
    ObjectNode settings = node.putObject(SETTINGS);
    config.settings().forEach(settings::put);
    config.calibrationSha256().ifPresent(digest -> node.put(CALIBRATION, digest));
    node.put(BITS_PER_WEIGHT, config.bitsPerWeight());
    ArrayNode kept = node.putArray(KEPT_MODULES);
    config.keptModules().forEach(kept::add);
    return node;
  }

  private static QuantScheme scheme(ConfigFields fields) throws ModelFormatException {
    String name = fields.requiredText(SCHEME);
    try {
      return QuantScheme.parse(name);
    } catch (IllegalArgumentException e) {
      throw fields.problem(SCHEME, String.valueOf(e.getMessage()));
    }
  }
}
