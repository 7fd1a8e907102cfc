package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Quantizes the weights of one linear after the other, 64 rows a thread at a time. What comes out
 * does not depend on the number of threads.
 */
final class LinearPacker implements AutoCloseable {
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int threads;
  private final ExecutorService workers;

  /** Takes a linear's packed tensors. */
  interface Output {
    /** Takes the next bytes of the codes, which are those of some more rows of the source. */
    void qweight(MemorySegment bytes, int rows) throws IOException;

    /** Takes all scales. */
    void scales(MemorySegment bytes) throws IOException;

    /** Takes all zeros; not called for symmetric weights. */
    void zeros(MemorySegment bytes) throws IOException;
  }

  LinearPacker(int threads) {
    this.threads = threads;
    workers =
        Executors.newFixedThreadPool(
            threads, Thread.ofPlatform().daemon().name("nibble-quantize-", 0).factory());
  }

  /**
   * Packs a linear.
   *
   * @return the relative error
   * @throws ModelFormatException if a weight is not finite or a scale too large
   */
  double pack(QuantizationPlan.Pack step, Tensor source, Path file, Output output)
      throws IOException {
    PackedLayout layout = step.layout();
    List<Slot> slots = new ArrayList<>();
    for (int i = 0; i < Math.min(threads, layout.rowBlocks()); i++) {
      slots.add(new Slot(step, source, file));
    }
    int blockScales = Math.toIntExact(layout.rowBlockScales());
    MemorySegment scales = bytes(Math.multiplyExact(2, layout.scaleCount()));
    MemorySegment zeros = bytes(layout.scaleCount());
    double squaredError = 0;
    double squaredNorm = 0;
    for (int first = 0; first < layout.rowBlocks(); first += slots.size()) {
      List<Slot> wave = slots.subList(0, Math.min(slots.size(), layout.rowBlocks() - first));
      runAll(wave, first);
      for (int i = 0; i < wave.size(); i++) {
        Slot slot = wave.get(i);
        long at = (long) (first + i) * blockScales;
        output.qweight(slot.qweight, slot.rows());
        MemorySegment.copy(slot.block.scales, 0, scales, HALF, 2 * at, blockScales);
        MemorySegment.copy(slot.block.zeros, 0, zeros, ValueLayout.JAVA_BYTE, at, blockScales);
        squaredError += slot.block.squaredError;
        squaredNorm += slot.block.squaredNorm;
      }
    }
    output.scales(scales);
    if (!step.symmetric()) {
      output.zeros(zeros);
    }
    return squaredNorm == 0 ? 0 : Math.sqrt(squaredError / squaredNorm);
  }

  @Override
  public void close() {
    workers.close();
  }

  /** Runs the slots on consecutive row blocks; the first of them that fails is the one reported. */
  private void runAll(List<Slot> wave, int firstBlock) throws IOException {
    List<Future<Void>> running = new ArrayList<>();
    for (int i = 0; i < wave.size(); i++) {
      wave.get(i).rowBlock = firstBlock + i;
      running.add(workers.submit(wave.get(i)));
    }
    boolean ended = false;
    try {
      for (Future<Void> one : running) {
        one.get();
      }
      ended = true;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("quantizing was interrupted", e);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case IOException cause -> throw cause;
        case RuntimeException cause -> throw cause;
        case Error cause -> throw cause;
        case null, default -> throw new IllegalStateException(e);
      }
    } finally {
      if (!ended) {
        running.forEach(one -> one.cancel(true));
      }
    }
  }

  private static MemorySegment bytes(long count) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(count)]);
  }

  /** The memory of one thread. */
  private static final class Slot implements Callable<Void> {
    final RowBlock block;
    final MemorySegment qweight;
    private final QuantizationPlan.Pack step;
    private final Tensor source;
    private final Path file;
    private final Rtn rtn;
    private final float[] row;
    int rowBlock;

    Slot(QuantizationPlan.Pack step, Tensor source, Path file) {
      this.step = step;
      this.source = source;
      this.file = file;
      PackedLayout layout = step.layout();
      block = new RowBlock(layout);
      qweight = bytes(layout.rowBlockBytes());
      rtn = step.symmetric() ? Rtn.symmetric(layout) : Rtn.asymmetric(layout);
      row = new float[layout.columns()];
    }

    int rows() {
      return Math.min(
          PackedLayout.ROW_BLOCK, step.layout().rows() - rowBlock * PackedLayout.ROW_BLOCK);
    }

    @Override
    public Void call() throws IOException {
      block.clear();
      for (int r = 0; r < rows(); r++) {
        int sourceRow = rowBlock * PackedLayout.ROW_BLOCK + r;
        FloatRows.read(source, (long) sourceRow * row.length, row);
        try {
          rtn.quantize(row, r, block);
        } catch (ArithmeticException e) {
          throw new ModelFormatException(
              file, source.name(), "output channel " + sourceRow + ": " + e.getMessage(), e);
        }
      }
      block.pack(qweight);
      return null;
    }
  }
}
