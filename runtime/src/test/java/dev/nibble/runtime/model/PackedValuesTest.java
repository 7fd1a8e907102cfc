package dev.nibble.runtime.model;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.SyntheticModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HexFormat;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Packed folders whose checksums are right but whose values no method may write. */
class PackedValuesTest {
  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({
    "self_attn.q_proj.scales, 40, 007c",
    "self_attn.q_proj.scales, 40, ff7f",
    "mlp.down_proj.zeros, 7, 10",
    "input_layernorm.channel_order, 6, 0000",
    "input_layernorm.channel_order, 6, a000",
    "self_attn.rope_order, 34, 1000",
    "self_attn.o_proj.outlier_columns, 4, 00000000",
    "self_attn.o_proj.outlier_columns, 8, c0000000",
    "self_attn.v_proj.outlier_rows, 0, 01000000",
    "self_attn.v_proj.outlier_indices, 4, a0000000",
    "self_attn.v_proj.outlier_values, 2, 007c",
    "mlp.up_proj.cluster_scales, 4, 00000000",
    "mlp.up_proj.cluster_scales, 4, 0000c07f",
    "mlp.up_proj.cluster_zeros, 4, 00010000",
    "mlp.up_proj.cluster_zeros, 4, ffffffff",
    "mlp.up_proj.cluster_bits, 0, 05000000",
    "mlp.down_proj.outlier_threshold, 0, 000080bf",
    "mlp.down_proj.outlier_threshold, 0, 0000c07f",
  })
  void namesTheTensor(String tensor, int at, String hex) throws IOException {
    String name = "model.layers.1." + tensor;
    QuantScheme scheme = QuantScheme.parse("W4A8g32H8");
    SyntheticModel model =
        tensor.endsWith("_bits") || tensor.endsWith("_threshold")
            ? SyntheticModel.ofMixedInputs(QuantScheme.parse("W4A4g32H8"), 1)
            : new SyntheticModel(scheme, 1);
    model.writePacked(
        folder,
        (written, bytes) -> {
          if (written.equals(name)) {
            bytes.duplicate().position(at).put(HexFormat.of().parseHex(hex));
          }
        });
    var e =
        assertThrows(
            ModelFormatException.class, () -> ModelWeights.of(Checkpoint.open(folder)).close());
    assertTrue(e.getMessage().contains(name), e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(strings = {"W4A8g32H8", "W2A16symH8"})
  void acceptsWhatIsRight(String scheme) throws IOException {
    new SyntheticModel(QuantScheme.parse(scheme), 1).writePacked(folder);
    ModelWeights.of(Checkpoint.open(folder)).close();
  }
}
