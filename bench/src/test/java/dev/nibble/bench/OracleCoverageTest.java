package dev.nibble.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaMethod;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import dev.nibble.bench.kernel.Timed;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.openjdk.jmh.annotations.Benchmark;

/** No benchmark's body is timed that a test does not hold to an oracle. */
class OracleCoverageTest {
  private static final String PACKAGE = "dev.nibble.bench";
  private static final JavaClasses CLASSES = new ClassFileImporter().importPackages(PACKAGE);

  /** Another library's product, which is only ever compared with. */
  private static final Set<String> OTHERS = Set.of("Gemm.openBlas");

  /** JMH's bodies, and what times kernels. */
  private static Stream<JavaMethod> bodies() {
    return CLASSES.stream()
        .filter(c -> !c.getPackageName().endsWith("jmh_generated"))
        .flatMap(c -> c.getMethods().stream())
        .filter(m -> m.isAnnotatedWith(Benchmark.class) || timesKernels(m));
  }

  private static boolean timesKernels(JavaMethod method) {
    JavaClass owner = method.getOwner();
    return owner.getPackageName().equals(PACKAGE + ".kernel")
        && owner.getModifiers().contains(JavaModifier.PUBLIC)
        && method.getModifiers().contains(JavaModifier.PUBLIC)
        && method.getReturnType().getAllInvolvedRawTypes().stream()
            .anyMatch(type -> type.isEquivalentTo(Timed.class));
  }

  @Test
  void everyBodyIsCalledByATest() {
    Set<JavaCodeUnit> reached = new HashSet<>();
    for (Class<?> test : List.of(BenchmarksTest.class, GpuBenchmarksTest.class)) {
      CLASSES.get(test).getCodeUnits().forEach(unit -> reach(unit, reached));
    }
    List<String> bodies = bodies().map(OracleCoverageTest::name).toList();
    assertTrue(bodies.size() > 20, bodies.toString());
    assertEquals(
        List.of(),
        bodies()
            .filter(body -> !reached.contains(body))
            .map(OracleCoverageTest::name)
            .filter(name -> !OTHERS.contains(name))
            .toList());
  }

  private static void reach(JavaCodeUnit unit, Set<JavaCodeUnit> reached) {
    if (reached.add(unit)) {
      unit.getAccessesFromSelf().stream()
          .map(JavaAccess::getTarget)
          .flatMap(target -> target.resolveMember().stream())
          .filter(JavaCodeUnit.class::isInstance)
          .map(JavaCodeUnit.class::cast)
          .filter(called -> called.getOwner().getPackageName().startsWith(PACKAGE))
          .forEach(called -> reach(called, reached));
    }
  }

  private static String name(JavaMethod method) {
    return method.getOwner().getSimpleName() + "." + method.getName();
  }
}
