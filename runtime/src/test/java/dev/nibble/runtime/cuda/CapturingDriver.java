package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntSupplier;

/** A driver that keeps what it is asked to do in graphs, and does it as often as they are run. */
abstract class CapturingDriver extends FakeDriver {
  private final Map<Long, List<IntSupplier>> graphs = new HashMap<>();
  private List<IntSupplier> captured = new ArrayList<>();
  private boolean capturing;

  CapturingDriver(long firstHandle) {
    super(firstHandle);
  }

  /** Does an operation of the stream, now or later; its result counts. */
  abstract int enqueue(IntSupplier operation);

  /** Takes an operation: into the graph that is being captured, if one is. */
  final int add(IntSupplier operation) {
    if (capturing) {
      captured.add(operation);
      return cuda_constants.CUDA_SUCCESS();
    }
    return enqueue(operation);
  }

  @Override
  public int cuStreamBeginCapture(MemorySegment stream, int mode) {
    capturing = true;
    captured = new ArrayList<>();
    return super.cuStreamBeginCapture(stream, mode);
  }

  @Override
  public int cuStreamEndCapture(MemorySegment stream, MemorySegment graph) {
    capturing = false;
    int result = super.cuStreamEndCapture(stream, graph);
    graphs.put(graph.get(ValueLayout.JAVA_LONG, 0), captured);
    return result;
  }

  @Override
  public int cuGraphInstantiateWithFlags(
      MemorySegment executable, MemorySegment graph, long flags) {
    int result = super.cuGraphInstantiateWithFlags(executable, graph, flags);
    graphs.put(
        executable.get(ValueLayout.JAVA_LONG, 0),
        Objects.requireNonNull(graphs.get(graph.address())));
    return result;
  }

  @Override
  public int cuGraphLaunch(MemorySegment executable, MemorySegment stream) {
    Objects.requireNonNull(graphs.get(executable.address())).forEach(this::enqueue);
    return super.cuGraphLaunch(executable, stream);
  }
}
