package dev.nibble.bench.report;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TargetsTest {
  private static final double GIB = 1L << 30;

  private static Measurement figure(
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      double value,
      Origin origin) {
    return Measurement.of(
        kind,
        name,
        parameters,
        unit,
        Spread.of(value),
        Work.NONE,
        origin,
        new Context(
            new Machine("GPU", "580", "CPU", 2, "25"),
            Clocks.UNKNOWN,
            new Run("abc", "command", "2026-01-02T03:04:05Z", "")));
  }

  private static Measurement ofMany(
      String name, String shape, String program, double microseconds, Origin origin) {
    Map<String, String> parameters =
        Map.of("shape", shape, "scheme", "W4A16g128", "tokens", "64", "program", program);
    return figure(Kind.KERNEL, name, parameters, "us", microseconds, origin);
  }

  private static Measurement bytes(String name, String depth, double gibibytes) {
    Map<String, String> parameters = new HashMap<>(Map.of("depth", depth, "tokens", "64"));
    parameters.putAll(Map.of("model", "llama-2-7b", "scheme", "W4A16g128", "batch", "1"));
    return figure(Kind.MEMORY, name, parameters, "bytes", gibibytes * GIB, Origin.MEASURED);
  }

  private static String table(Measurement... figures) {
    return Targets.markdown(Figures.of("GPU", List.of(figures)));
  }

  /** Only shapes that there is a figure of Marlin for, and with the day it is of. */
  @Test
  void manyTokensAreHeldToMarlinOfItsDay() {
    String table =
        table(
            ofMany("skinny", "12288x4096", "", 30, Origin.MEASURED),
            ofMany("gemm.peer", "12288x4096", "Marlin, changed", 26.7, Origin.IMPORTED),
            ofMany("skinny", "4096x4096", "", 14, Origin.MEASURED),
            ofMany("gemm.peer", "4096x4096", "Marlin, changed", 24.2, Origin.IMPORTED),
            ofMany("gemm.peer", "4096x11008", "Other", 1, Origin.IMPORTED));
    assertTrue(
        table.contains(
            "12288x4096, 64 tokens (Marlin's of 2026-01-02) | at most 26.7 us | 30.0 | no"),
        table);
    assertTrue(table.contains("(Marlin's of 2026-01-02) | at most 24.2 us | 14.0 | yes"), table);
    assertFalse(table.contains("4096x11008, 64 tokens (Marlin"), table);
  }

  @Test
  void memoryIsOfAFullContext() {
    String table =
        table(
            bytes("decode.device", "4032", 6.5),
            bytes("decode.device", "512", 4.5),
            bytes("decode.weight", "512", 3.65));
    assertTrue(table.contains("context 4,096 | at most 6.40 GiB | 6.50 | no"), table);
    assertTrue(table.contains("W4A16g128 | at most 3.80 GiB | 3.65 | yes"), table);
  }
}
