package dev.nibble.quantizer.format;

import dev.nibble.quantizer.format.ModelConfig.Llama3Scaling;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import java.util.Optional;

/**
 * Reads rotary embedding, from {@code rope_parameters} or from {@code rope_theta, rope_scaling}.
 */
final class RopeReader {
  private static final double DEFAULT_THETA = 10000;

  private RopeReader() {}

  static RopeConfig read(ConfigFields config) throws ModelFormatException {
    Optional<ConfigFields> parameters = config.object("rope_parameters");
    Optional<ConfigFields> scaling = config.object("rope_scaling");
    if (parameters.isPresent() && scaling.isPresent()) {
      throw config.problem("rope_scaling", "expected it or rope_parameters, found both");
    }
    double theta = config.positive("rope_theta", DEFAULT_THETA);
    if (parameters.isPresent() && parameters.get().has("rope_theta")) {
      double inner = parameters.get().positive("rope_theta");
      if (config.has("rope_theta") && inner != theta) {
        throw config.problem(
            "rope_theta", "expected " + inner + " as in rope_parameters, found " + theta);
      }
      theta = inner;
    }
    Optional<ConfigFields> fields = parameters.or(() -> scaling);
    return new RopeConfig(theta, fields.isPresent() ? scaling(fields.get()) : Optional.empty());
  }

  private static Optional<Llama3Scaling> scaling(ConfigFields fields) throws ModelFormatException {
    String field = fields.has("rope_type") ? "rope_type" : "type";
    String type = fields.text(field).orElse("default");
    fields.mustBe("type", type);
    fields.mustBe("partial_rotary_factor", 1);
    Optional<Llama3Scaling> scaling =
        switch (type) {
          case "default" -> Optional.empty();
          case "llama3" -> Optional.of(llama3(fields));
          default ->
              throw fields.problem(field, "expected default or llama3, found '" + type + "'");
        };
    fields.refuseUnknown();
    return scaling;
  }

  private static Llama3Scaling llama3(ConfigFields fields) throws ModelFormatException {
    double low = fields.positive("low_freq_factor");
    double high = fields.positive("high_freq_factor");
    if (high <= low) {
      throw fields.problem(
          "high_freq_factor", "expected more than low_freq_factor " + low + ", found " + high);
    }
    return new Llama3Scaling(
        fields.positive("factor"),
        low,
        high,
        fields.size("original_max_position_embeddings", Integer.MAX_VALUE));
  }
}
