package dev.nibble.bench.suite;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import dev.nibble.bench.result.Measurement;
import java.io.IOException;
import java.util.List;

/** One thing to measure, as a file of steps names it. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "run")
@JsonSubTypes({
  @JsonSubTypes.Type(value = CeilingStep.class, name = "device-ceilings"),
  @JsonSubTypes.Type(value = ProductStep.class, name = "product"),
  @JsonSubTypes.Type(value = AttentionStep.class, name = "attention"),
  @JsonSubTypes.Type(value = RowStep.class, name = "rows"),
  @JsonSubTypes.Type(value = AroundStep.class, name = "around"),
  @JsonSubTypes.Type(value = BesideStep.class, name = "beside"),
  @JsonSubTypes.Type(value = JmhStep.class, name = "jmh"),
  @JsonSubTypes.Type(value = ModelStep.class, name = "model"),
  @JsonSubTypes.Type(value = LayoutStep.class, name = "layouts"),
  @JsonSubTypes.Type(value = MemoryStep.class, name = "memory"),
  @JsonSubTypes.Type(value = EngineMemoryStep.class, name = "engine-memory"),
  @JsonSubTypes.Type(value = LoadStep.class, name = "load"),
  @JsonSubTypes.Type(value = PeerStep.class, name = "peer"),
})
sealed interface Step
    permits CeilingStep,
        ProductStep,
        AttentionStep,
        RowStep,
        AroundStep,
        BesideStep,
        JmhStep,
        ModelStep,
        LayoutStep,
        MemoryStep,
        EngineMemoryStep,
        LoadStep,
        PeerStep {
  /** What is said while it runs. */
  String title();

  /** Whether a figure of it is the host's, which other work on the machine makes worse. */
  default boolean measuresHost() {
    return false;
  }

  /**
   * Measures.
   *
   * @param session of the suite
   * @return what was found
   * @throws LeftOutException if this machine lacks what it needs
   */
  List<Measurement> run(Session session) throws IOException, LeftOutException;
}
