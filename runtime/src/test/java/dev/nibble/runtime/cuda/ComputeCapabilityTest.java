package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ComputeCapabilityTest {
  private static final List<String> SHIPPED =
      List.of("compute_80", "sm_80", "sm_86", "sm_89", "sm_90a");

  @ParameterizedTest
  @CsvSource({
    "8, 0, sm_80",
    "8, 6, sm_86",
    "8, 7, sm_86",
    "8, 9, sm_89",
    "9, 0, sm_90a",
    "10, 0, compute_80",
    "12, 0, compute_80",
  })
  void takesTheNearest(int major, int minor, String expected) {
    assertEquals(Optional.of(expected), new ComputeCapability(major, minor).best(SHIPPED));
  }

  @Test
  void ownInstructionsComeFirst() {
    assertEquals(
        Optional.of("sm_90a"),
        new ComputeCapability(9, 0).best(List.of("compute_90", "sm_90", "sm_90a")));
  }

  @Test
  void newestPtxComesFirst() {
    assertEquals(
        Optional.of("compute_90"),
        new ComputeCapability(12, 0).best(List.of("compute_80", "compute_90", "sm_90")));
  }

  @Test
  void olderThanAllHasNone() {
    assertEquals(Optional.empty(), new ComputeCapability(7, 5).best(SHIPPED));
    assertEquals(Optional.empty(), new ComputeCapability(9, 0).best(List.of()));
  }

  @Test
  void anUnknownNameIsRefused() {
    assertThrows(
        IllegalArgumentException.class, () -> new ComputeCapability(9, 0).best(List.of("gfx90a")));
  }

  @Test
  void committedPtxServesEveryGpu() {
    List<String> committed = List.of("compute_80", "compute_90a");
    assertEquals(Optional.of("compute_90a"), new ComputeCapability(9, 0).best(committed));
    assertEquals(Optional.of("compute_80"), new ComputeCapability(8, 6).best(committed));
    assertEquals(Optional.of("compute_80"), new ComputeCapability(12, 0).best(committed));
  }
}
