package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RopeReaderTest extends ConfigFixture {
  @Test
  void ropeParametersAndRopeThetaMustAgree() throws Exception {
    String both =
        SmallModel.CONFIG.replace(
            "\"rope_theta\"", "\"rope_parameters\": PARAMETERS, \"rope_theta\"");
    String same = "{\"rope_theta\": 10000.0, \"rope_type\": \"default\"}";
    assertEquals(10000, read(both.replace("PARAMETERS", same)).rope().orElseThrow().theta());
    refused(
        both.replace("PARAMETERS", same.replace("10000.0", "20000.0")),
        "rope_theta: expected 20000.0 as in rope_parameters, found 10000.0");
    refused(
        both.replace("PARAMETERS", same + ", \"rope_scaling\": " + same),
        "rope_scaling: expected it or rope_parameters");
  }

  @ParameterizedTest
  @ValueSource(strings = {"linear", "dynamic", "yarn", "longrope", "su", "mrope", "proportional"})
  void otherRopeTypesAreRefusedByName(String type) throws Exception {
    refused(
        add("\"rope_scaling\": {\"type\": \"%s\", \"factor\": 2.0}".formatted(type)),
        "rope_scaling.type: expected default or llama3, found '" + type + "'");
    refused(
        add("\"rope_scaling\": {\"rope_type\": \"%s\", \"factor\": 2.0}".formatted(type)),
        "rope_scaling.rope_type: expected default or llama3, found '" + type + "'");
  }
}
