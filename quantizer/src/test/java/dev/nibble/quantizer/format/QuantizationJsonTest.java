package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class QuantizationJsonTest extends ConfigFixture {
  @Test
  void quantizationComesBackAsWritten() throws Exception {
    QuantizationConfig quantization =
        new QuantizationConfig(
            1,
            QuantScheme.parse("W3A8g64symQ8KV4H8"),
            "rtn",
            Map.of("seed", "1"),
            Optional.of("0123456789abcdef".repeat(4)),
            3.25,
            List.of("lm_head", "model.embed_tokens"));
    SmallModel.source(folder);
    byte[] packed;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      packed = checkpoint.packedConfig(quantization);
    }
    Files.write(folder.resolve("config.json"), packed);
    assertEquals(Optional.of(quantization), ModelConfig.read(folder).quantization());
    String text = Files.readString(folder.resolve("config.json"));
    refused(text.replace("W3A8g64", "W5A8g64"), "quantization_config.scheme: scheme 'W5A8g64");
    refused(text.replace("\"format_version\" : 1", "\"format_version\" : 2"), "found 2; quantize");
    refused(text.replace("0123", "0ABC"), "calibration_sha256: expected 64 hex digits");
    refused(text.replace("\"seed\" : \"1\"", "\"seed\" : 1"), "settings.seed: expected a string");
    refused(text.replace("\"rtn\"", "\"rtn\", \"desc_act\" : true"), "desc_act: unknown field");
    Files.write(folder.resolve("config.json"), packed);
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> Checkpoint.open(folder).close());
    assertTrue(e.getMessage().contains("expected the checksums"), e.getMessage());
  }
}
