package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.Graph;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.TokenSampler;

/**
 * Decode steps of an engine. A step is one graph, made for each of some batch sizes; a batch
 * between two takes the larger with idle rows. It leaves the inputs of the step after it on the
 * device, so once a step has been the one that the last foretold, the next is enqueued before this
 * one's tokens are waited for: the device does not wait for the host.
 *
 * <p>A step that the caller then does not ask for was run for nothing, as is the last of a
 * generation: what it wrote lies behind the tokens of every sequence, and its tokens are not read.
 * What it owns is the device's to free.
 */
final class StepQueue {
  /** What the device has of the step that the last one foretold. */
  private enum Next {
    NOTHING,
    /** It can be enqueued. */
    INPUTS,
    /** It is. */
    STEP
  }

  private final Stream stream;
  private final CudaTransformer transformer;
  private final StepInputs inputs;
  private final HostLogits logits;
  private final TokenSampler.Results results;

  /** Where the last two steps end. */
  private final Event[] ends;

  private final Graph[] graphs;
  private Next next = Next.NOTHING;
  private int lastGraph;
  private int enqueued;
  private long waitedNanos;

  /**
   * Makes the graphs.
   *
   * @param inputs of the steps, a row for each sequence
   * @param logits that the steps make
   */
  StepQueue(
      Device device,
      Stream stream,
      CudaTransformer transformer,
      StepInputs inputs,
      HostLogits logits) {
    this.stream = stream;
    this.transformer = transformer;
    this.inputs = inputs;
    this.logits = logits;
    results = new TokenSampler.Results(device, inputs.rows());
    ends = new Event[] {device.newEvent(Event.Timing.NONE), device.newEvent(Event.Timing.NONE)};
    graphs = new Graph[graphOf(inputs.rows()) + 1];
    for (int i = 0; i < graphs.length; i++) {
      graphs[i] = capture(rowsOf(i));
    }
  }

  /** The smallest graph that has so many rows. */
  private static int graphOf(int rows) {
    return Integer.SIZE - Integer.numberOfLeadingZeros(rows - 1);
  }

  /** Rows of a graph: powers of two, the last no more than there are sequences. */
  private int rowsOf(int graph) {
    return Math.min(1 << graph, inputs.rows());
  }

  private Graph capture(int rows) {
    // Run once with idle rows: whatever a launch needs to load is loaded then.
    inputs.idle(0, inputs.rows());
    inputs.send(stream);
    run(rows);
    stream.synchronize();
    return stream.capture(() -> run(rows));
  }

  private void run(int rows) {
    transformer.decode(inputs, rows);
    transformer.logitsOfStep(rows);
    transformer.sample(inputs, rows, results);
  }

  /**
   * Appends to each sequence its token and chooses the next.
   *
   * @param batch open sequences with room, each once; the first {@code count} are used
   * @param tokens of the vocabulary; replaced by those chosen
   * @throws NonFiniteLogitsException if a sequence's logits are not numbers
   */
  void step(CudaSequence[] batch, int count, int[] tokens) {
    int graph = graphOf(count);
    for (int i = 0; i < count; i++) {
      inputs.set(i, batch[i], tokens[i], batch[i].length());
    }
    inputs.idle(count, rowsOf(graph));
    Next there = graph == lastGraph && inputs.areThere() ? next : Next.NOTHING;
    // Until this step has ended well.
    next = Next.NOTHING;
    if (there == Next.NOTHING) {
      inputs.send(stream);
    }
    if (there != Next.STEP) {
      enqueue(graph);
    }
    for (int i = 0; i < count; i++) {
      batch[i].append(tokens[i]);
    }
    Event end = ends[enqueued & 1];
    Next after = there != Next.NOTHING && goesOn(batch, count) ? Next.STEP : Next.INPUTS;
    if (after == Next.STEP) {
      enqueue(graph);
    }
    waitFor(end);
    for (int i = 0; i < count; i++) {
      tokens[i] = chosen(i, batch[i]);
    }
    lastGraph = graph;
    next = after;
  }

  private void enqueue(int graph) {
    enqueued++;
    graphs[graph].launch(stream);
    stream.record(ends[enqueued & 1]);
  }

  /** Whether what a step leaves on the device is all that the step after it needs. */
  private static boolean goesOn(CudaSequence[] batch, int count) {
    for (int i = 0; i < count; i++) {
      if (batch[i].isFull() || batch[i].isSampledByHost()) {
        return false;
      }
    }
    return true;
  }

  private void waitFor(Event end) {
    long start = System.nanoTime();
    end.synchronize();
    waitedNanos += System.nanoTime() - start;
  }

  /** Makes the next step one of its own: called before sequences change otherwise than by steps. */
  void forget() {
    next = Next.NOTHING;
  }

  /**
   * Chooses the token that follows a sequence's last, by the first row of the logits.
   *
   * @throws NonFiniteLogitsException if they are not numbers
   */
  int choose(CudaSequence sequence) {
    forget();
    inputs.set(0, sequence, 0, sequence.length() - 1);
    inputs.send(stream);
    transformer.sample(inputs, 1, results);
    stream.synchronize();
    return chosen(0, sequence);
  }

  /** The token that follows a row's last one. */
  private int chosen(int row, CudaSequence sequence) {
    int position = sequence.length() - 1;
    int token = results.token(row, position);
    if (token < 0) {
      throw new NonFiniteLogitsException(position);
    }
    sequence.drawn();
    inputs.moved(row, sequence, token, position + 1);
    return sequence.isSampledByHost() ? sequence.sample(logits.fetch(stream, row, 1)) : token;
  }

  /** Time that steps have waited for the device so far. */
  long waitedNanos() {
    return waitedNanos;
  }
}
