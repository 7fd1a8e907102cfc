package dev.nibble.bench;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.tensor.KvLayer;
import dev.nibble.runtime.cache.KvCache;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.Graph;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.openjdk.jol.info.ClassLayout;
import org.openjdk.jol.info.GraphLayout;

/**
 * What the runtime's objects take on the Java heap, by JOL, and what an engine plans outside of it:
 * the model that comes with the project, on the CPU. A program of its own, as JOL looks into
 * records only with {@code -Djol.magicFieldOffset=true}.
 */
public final class HotObjects {
  private static final int CONTEXT = 256;
  private static final ModelOptions OPTIONS =
      ModelOptions.DEFAULT.withContextLength(CONTEXT).withSequences(1).withThreads(1);
  private static final List<Class<?>> HOT =
      List.of(
          KvCache.class,
          KvLayer.class,
          Stream.class,
          Graph.class,
          Event.class,
          Kernel.class,
          DeviceBuffer.class,
          DeviceRange.class);
  private static final List<Class<?>> BOXES =
      List.of(Integer.class, Long.class, Float.class, Double.class, Short.class, Byte.class);

  private HotObjects() {}

  /**
   * A size.
   *
   * @param name of what has it
   * @param parameters of that
   * @param value bytes, or a count
   * @param unit {@code bytes} or {@code objects}
   */
  public record Size(String name, Map<String, String> parameters, long value, String unit) {}

  /**
   * Prints each size as a line of JSON.
   *
   * @param args none
   * @throws IOException if the model cannot be read
   */
  public static void main(String[] args) throws IOException {
    JsonMapper json = new JsonMapper();
    for (Size size : measure()) {
      System.out.println(json.writeValueAsString(size));
    }
  }

  static List<Size> measure() throws IOException {
    List<Size> sizes = new ArrayList<>();
    for (Class<?> hot : HOT) {
      Map<String, String> name = Map.of("class", hot.getSimpleName());
      sizes.add(new Size("object", name, ClassLayout.parseClass(hot).instanceSize(), "bytes"));
    }
    try (Engine engine =
        Engine.create(
            ModelWeights.of(Checkpoint.open(SourceTree.model())), Device.cpu(), OPTIONS)) {
      Map<String, String> context = Map.of("context", Integer.toString(CONTEXT));
      GraphLayout alone = GraphLayout.parseInstance(engine);
      sizes.add(new Size("engine.heap", context, alone.totalSize(), "bytes"));
      try (Sequence sequence = engine.open(SamplingParameters.GREEDY)) {
        int[] token = {engine.prefill(sequence, new int[] {1, 2, 3})};
        engine.step(new Sequence[] {sequence}, 1, token);
        GraphLayout both = GraphLayout.parseInstance(engine, sequence);
        sizes.add(new Size("session.heap", context, both.totalSize() - alone.totalSize(), "bytes"));
        sizes.add(new Size("session.boxes", Map.of(), boxes(both) - boxes(alone), "objects"));
      }
      sizes.add(
          new Size(
              "cache.token", Map.of("bits", "32"), engine.memory().kvBytesPerToken(), "bytes"));
      sizes.add(new Size("weights.native", Map.of(), engine.memory().weightBytes(), "bytes"));
      sizes.add(new Size("workspace.planned", context, engine.memory().workspaceBytes(), "bytes"));
    }
    return sizes;
  }

  private static long boxes(GraphLayout layout) {
    return BOXES.stream().mapToLong(layout.getClassCounts()::count).sum();
  }
}
