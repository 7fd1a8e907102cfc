package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ProviderChoiceTest {
  private static final String FLAG = "--add-modules jdk.incubator.vector";

  /** Opens two providers; loads no class of the Vector API by itself. */
  static final class Main {
    private Main() {}

    public static void main(String[] arguments) {
      for (int i = 0; i < 2; i++) {
        try (TensorOperations operations = TensorOperations.best(2)) {
          float[] x = {3, 4};
          operations.rmsNorm(x, 0, 1, new float[] {1, 1}, 0, x);
          System.out.println(operations.name() + " " + Math.round(x[0] * 100));
        }
      }
    }
  }

  @Test
  void withoutTheModuleItComputesInLoopsAndWarnsOnce() throws Exception {
    ChildJvm.Result result = ChildJvm.run(List.of(), Main.class);
    assertEquals("scalar 85\nscalar 85\n", result.out(), result.err());
    assertTrue(result.err().contains(FLAG), result.err());
    assertEquals(1, result.err().lines().count(), result.err());
    assertEquals(0, result.exit());
  }

  @Test
  void withTheModuleItUsesVectors() throws Exception {
    ChildJvm.Result result =
        ChildJvm.run(List.of("--add-modules=jdk.incubator.vector"), Main.class);
    assertTrue(result.out().matches("(vector \\d+-bit, 2 threads 85\\n){2}"), result.out());
    assertFalse(result.err().contains(FLAG), result.err());
    assertEquals(0, result.exit());
  }

  @Test
  void thePropertyForcesLoopsWithoutAWarning() throws Exception {
    ChildJvm.Result result =
        ChildJvm.run(
            List.of("--add-modules=jdk.incubator.vector", "-Dnibble.ops=scalar"), Main.class);
    assertEquals("scalar 85\nscalar 85\n", result.out());
    assertFalse(result.err().contains(FLAG), result.err());
  }

  @Test
  void whatIsForcedInVainIsRefused() throws Exception {
    ChildJvm.Result result = ChildJvm.run(List.of("-Dnibble.ops=vector"), Main.class);
    assertTrue(
        result.err().contains("IllegalArgumentException: nibble.ops=vector: ")
            && result.err().contains(FLAG),
        result.err());
    result =
        ChildJvm.run(
            List.of("--add-modules=jdk.incubator.vector", "-Dnibble.vector.bits=100"), Main.class);
    assertTrue(
        result.err().contains("IllegalArgumentException: nibble.vector.bits=100: expected 128,"),
        result.err());
    assertThrows(
        IllegalArgumentException.class, () -> ProviderChoice.choose("simd", Optional.empty()));
  }
}
