package dev.nibble.bench.suite;

import dev.nibble.bench.HotObjects;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.io.IOException;
import java.util.List;

/** Bytes of the objects that a session keeps, and of a token of its cache. */
record LayoutStep() implements Step {
  @Override
  public String title() {
    return "sizes of the runtime's objects";
  }

  @Override
  public List<Measurement> run(Session session) throws IOException {
    return HotObjects.measure().entrySet().stream()
        .map(size ->
            session.ofCpu(
                Kind.MEMORY,
                size.getKey().name(),
                size.getKey().parameters(),
                "bytes",
                Spread.of(size.getValue().doubleValue()),
                Work.NONE))
        .toList();
  }
}
