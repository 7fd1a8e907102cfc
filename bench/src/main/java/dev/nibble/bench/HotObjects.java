package dev.nibble.bench;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.openjdk.jol.info.ClassLayout;
import org.openjdk.jol.info.GraphLayout;

/**
 * What the runtime's objects take on the Java heap, by JOL, and what it plans outside of it. An
 * engine of the model that comes with the project, on the CPU.
 */
public final class HotObjects {
  private static final int CONTEXT = 256;
  private static final ModelOptions OPTIONS =
      ModelOptions.DEFAULT.withContextLength(CONTEXT).withSequences(2).withThreads(1);

  private HotObjects() {}

  /**
   * A size.
   *
   * @param name of what has it
   * @param parameters of that
   */
  public record Size(String name, SortedMap<String, String> parameters) {
    Size(String name, String... parameters) {
      this(name, new TreeMap<>());
      for (int i = 0; i < parameters.length; i += 2) {
        this.parameters.put(parameters[i], parameters[i + 1]);
      }
    }
  }

  /**
   * Makes an engine and looks into it.
   *
   * @return bytes
   * @throws IOException if the model cannot be read
   */
  public static Map<Size, Long> measure() throws IOException {
    Map<Size, Long> sizes = new LinkedHashMap<>();
    try (Engine engine =
            Engine.create(
                ModelWeights.of(Checkpoint.open(SourceTree.model())), Device.cpu(), OPTIONS);
        Sequence first = engine.open(SamplingParameters.GREEDY);
        Sequence second = engine.open(SamplingParameters.GREEDY)) {
      String context = Integer.toString(CONTEXT);
      sizes.put(
          new Size("engine.heap", "sequences", "2", "context", context),
          GraphLayout.parseInstance(engine).totalSize());
      sizes.put(
          new Size("session.heap", "context", context),
          GraphLayout.parseInstance(second).subtract(GraphLayout.parseInstance(engine)).totalSize()
              + ClassLayout.parseInstance(second).instanceSize());
      sizes.put(new Size("sequence.object"), ClassLayout.parseInstance(first).instanceSize());
      sizes.put(new Size("cache.token", "bits", "32"), engine.memory().kvBytesPerToken());
      sizes.put(new Size("weights.native"), engine.memory().weightBytes());
      sizes.put(new Size("workspace"), engine.memory().workspaceBytes());
    }
    return sizes;
  }
}
