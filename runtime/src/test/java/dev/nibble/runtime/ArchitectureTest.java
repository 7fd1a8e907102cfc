package dev.nibble.runtime;

import static com.tngtech.archunit.core.domain.JavaCall.Predicates.target;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.type;
import static com.tngtech.archunit.core.domain.properties.HasName.Predicates.name;
import static com.tngtech.archunit.core.domain.properties.HasOwner.Predicates.With.owner;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Who may use whom, inside the modules; between them, module-info says it. */
class ArchitectureTest {
  private static final String OURS = "dev.nibble.";

  /** What every package may use. */
  private static final Set<String> EVERYWHERE = Set.of("java", "org.jspecify", "org.slf4j");

  /**
   * What a package may use beside itself and {@link #EVERYWHERE}. Our packages without their first
   * two names; a name stands for the packages below it too.
   */
  private static final Map<String, Set<String>> ALLOWED =
      Map.ofEntries(
          Map.entry("kernels", Set.of("org.tukaani.xz")),
          Map.entry("bindings", Set.of()),
          Map.entry("quantizer.format", Set.of("com.fasterxml.jackson")),
          Map.entry("quantizer.tokenizer", Set.of("quantizer.format", "com.fasterxml.jackson")),
          Map.entry("quantizer.tensor", Set.of("quantizer.format", "jdk.incubator.vector")),
          Map.entry(
              "quantizer.calibration",
              Set.of("quantizer.format", "quantizer.tensor", "quantizer.tokenizer")),
          Map.entry(
              "quantizer.method",
              Set.of(
                  "quantizer.calibration",
                  "quantizer.format",
                  "quantizer.tensor",
                  "quantizer.tokenizer")),
          Map.entry(
              "runtime.cuda",
              Set.of("bindings.cuda", "bindings.nvml", "bindings.cublaslt", "kernels")),
          Map.entry(
              "runtime.kernel",
              Set.of("bindings.kernels", "kernels", "runtime.cuda", "quantizer.format")),
          Map.entry("runtime.model", Set.of("quantizer.format", "quantizer.tensor")),
          Map.entry("runtime.cache", Set.of("quantizer.format", "quantizer.tensor")),
          Map.entry(
              "runtime.engine",
              Set.of(
                  "quantizer.format",
                  "quantizer.tensor",
                  "runtime.cache",
                  "runtime.cuda",
                  "runtime.kernel",
                  "runtime.model")),
          Map.entry(
              "runtime.generate",
              Set.of(
                  "quantizer.format",
                  "quantizer.tokenizer",
                  "runtime.engine",
                  "runtime.model",
                  "com.hubspot.jinjava",
                  "com.fasterxml.jackson")),
          Map.entry(
              "runtime.cli",
              Set.of(
                  "kernels",
                  "quantizer",
                  "runtime.cuda",
                  "runtime.engine",
                  "runtime.generate",
                  "runtime.model",
                  "com.fasterxml.jackson",
                  "com.sun.management",
                  "picocli")));

  private static JavaClasses classes;

  @BeforeAll
  static void read() {
    Path root = Path.of(System.getProperty("project.root"));
    classes =
        new ClassFileImporter()
            .importPaths(
                Stream.of("native", "bindings", "quantizer", "runtime")
                    .map(module -> root.resolve(module).resolve("target/classes"))
                    .toList());
    for (String part : ALLOWED.keySet()) {
      assertFalse(
          classes.that(resideInAnyPackage(OURS + part + "..")).isEmpty(), "no classes: " + part);
    }
  }

  @Test
  void packagesUseOnlyWhatTheirWorkNeeds() {
    Set<String> violations = new TreeSet<>();
    for (JavaClass user : classes) {
      String part = part(user.getPackageName());
      Set<String> allowed = ALLOWED.getOrDefault(part, Set.of());
      for (Dependency dependency : user.getDirectDependenciesFromSelf()) {
        String used = packageName(dependency.getTargetClass());
        if (!used.isEmpty()
            && !isBelow(used, Set.of(part))
            && !isBelow(used, EVERYWHERE)
            && !isBelow(used, allowed)) {
          violations.add(
              user.getPackageName() + " uses " + used + ": " + dependency.getDescription());
        }
      }
    }
    assertEquals("", String.join("\n", violations));
  }

  /** A package as the table names it; empty for primitive types. */
  private static String packageName(JavaClass used) {
    String name = used.getBaseComponentType().getPackageName();
    return name.startsWith(OURS) ? name.substring(OURS.length()) : name;
  }

  /** The entry of the table that a package of ours belongs to. */
  private static String part(String packageName) {
    String name = packageName.substring(OURS.length());
    return ALLOWED.keySet().stream()
        .filter(part -> isBelow(name, Set.of(part)))
        .findFirst()
        .orElse(name);
  }

  private static boolean isBelow(String name, Set<String> parents) {
    return parents.stream().anyMatch(p -> name.equals(p) || name.startsWith(p + "."));
  }

  @Test
  void packagesFormNoCycles() {
    slices().matching("dev.nibble.(**)").should().beFreeOfCycles().check(classes);
  }

  @Test
  void onlyTheCommandLineWritesToStandardStreams() {
    noClasses()
        .that()
        // jextract's own switch for traces, off unless a property asks for it
        .resideOutsideOfPackages("dev.nibble.runtime.cli..", "dev.nibble.bindings..")
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .callMethod(Throwable.class, "printStackTrace")
        .check(classes);
  }

  @Test
  void onlyTheCudaPackageLeavesTheSafetyOfSegments() {
    List<String> unsafe = List.of("reinterpret", "ofAddress");
    noClasses()
        .that()
        .resideOutsideOfPackages("dev.nibble.runtime.cuda..", "dev.nibble.bindings..")
        .should()
        .dependOnClassesThat(type(Linker.class))
        .orShould()
        .callMethodWhere(
            target(owner(type(MemorySegment.class)))
                .and(target(name(unsafe.getFirst())).or(target(name(unsafe.getLast())))))
        .check(classes);
  }
}
