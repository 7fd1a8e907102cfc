package dev.nibble.bench.suite;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nibble.bench.HotObjects;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Bytes of the objects that a session keeps, and of a token of its cache. */
record LayoutStep() implements Step {
  private static final List<String> FLAGS =
      List.of(
          "-Djol.magicFieldOffset=true",
          "-Djdk.attach.allowAttachSelf=true",
          "-XX:+EnableDynamicAgentLoading");

  @Override
  public String title() {
    return "sizes of the runtime's objects";
  }

  @Override
  public List<Measurement> run(Session session) throws IOException {
    ChildJvm.Outcome outcome = ChildJvm.run(FLAGS, HotObjects.class.getName(), List.of());
    if (outcome.exitCode() != 0) {
      throw new IOException(title() + ": " + outcome.complaint());
    }
    List<Measurement> found = new ArrayList<>();
    JsonMapper json = new JsonMapper();
    for (String line : outcome.output().lines().filter(l -> l.startsWith("{")).toList()) {
      HotObjects.Size size = json.readValue(line, HotObjects.Size.class);
      found.add(
          session.ofCpu(
              Kind.MEMORY,
              size.name(),
              size.parameters(),
              size.unit(),
              Spread.of((double) size.value()),
              Work.NONE));
    }
    return found;
  }
}
