package dev.nibble.quantizer.method;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.method.CalibratedQuantizer.Calibration;
import dev.nibble.quantizer.method.CalibratedQuantizer.Interrupted;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InputRangesTest {
  private static final Path TEXT =
      Path.of(
          System.getProperty("project.root"), "runtime/src/test/resources/text/calibration.txt");

  @TempDir static Path models;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void roundingAloneChangesNone(String model) throws IOException {
    List<InputRanges> all = measure(model, "gptq", "W4A16");
    assertEquals(4, all.size());
    for (InputRanges ranges : all) {
      assertArrayEquals(ranges.sourceMin(), ranges.packedMin());
      assertArrayEquals(ranges.sourceMax(), ranges.packedMax());
      assertTrue(ranges.sourceMin()[0] < ranges.sourceMax()[0], ranges.norm());
    }
  }

  @Test
  void reorderPermutesThem() throws IOException {
    boolean moved = false;
    for (InputRanges ranges : measure("llama3", "rptq", "W4A8g32")) {
      assertArrayEquals(sorted(ranges.sourceMax()), sorted(ranges.packedMax()));
      assertArrayEquals(sorted(ranges.sourceMin()), sorted(ranges.packedMin()));
      moved |= !Arrays.equals(ranges.sourceMax(), ranges.packedMax());
    }
    assertTrue(moved);
  }

  /** The packed model's norm, and not the source's, gives the ranges. */
  @ParameterizedTest
  @ValueSource(strings = {"llama3", "opt"})
  void scalesAndShiftsMoveThem(String model) throws IOException {
    for (InputRanges ranges : measure(model, "os+", "W4A4")) {
      assertFalse(Arrays.equals(ranges.sourceMax(), ranges.packedMax()), ranges.norm());
      try (Checkpoint source = Checkpoint.open(ByteModels.copy(model, models));
          Checkpoint packed = Checkpoint.open(folder.resolve("packed"))) {
        float[] before = source.find(ranges.norm() + ".weight").orElseThrow().toFloats();
        float[] after = packed.find(ranges.norm() + ".weight").orElseThrow().toFloats();
        for (int i = 0; i < before.length; i++) {
          float width = ranges.sourceMax()[i] - ranges.sourceMin()[i];
          assertEquals(
              width * Math.abs(after[i] / before[i]),
              ranges.packedMax()[i] - ranges.packedMin()[i],
              1e-4f * width,
              ranges.norm());
        }
      }
    }
  }

  @Test
  void aRotatedModelHasOtherChannels() throws IOException {
    assertEquals(List.of(), measure("llama3", "gptq+rotate", "W4A16"));
  }

  private List<InputRanges> measure(String model, String method, String scheme) throws IOException {
    Path source = ByteModels.copy(model, models);
    Path packed = folder.resolve("packed");
    CalibratedQuantizer.quantize(
        new Request(source, packed, QuantScheme.parse(scheme), Existing.KEEP, 1),
        MethodCatalog.create(method, MethodCatalog.Options.DEFAULT),
        new Calibration(TEXT, 2, 33, 1, Interrupted.DISCARD),
        CalibratedQuantizerTest.silent());
    return InputRanges.measure(source, packed, TEXT, 1);
  }

  private static float[] sorted(float[] values) {
    float[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted;
  }
}
