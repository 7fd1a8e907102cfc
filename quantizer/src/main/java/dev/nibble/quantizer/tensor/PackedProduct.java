package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;
import static dev.nibble.quantizer.tensor.PanelKernels.TILE;

import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Products of packed weights: y = sum over runs of scale (sum of code x - zero sum of x), and for
 * integer inputs y = s_a (that - z' R). Each output is summed in one order, whatever the number of
 * tokens and threads: along a run in ascending columns by fused multiply-adds, then run by run. The
 * sums over a run of integer inputs stay below 2^24 and are exact.
 *
 * <p>Not thread-safe; row blocks are shared among the worker threads.
 */
final class PackedProduct {
  private static final float[] NOTHING = {};

  /** Keeps the rows of the scaled inputs out of each other's cache sets. */
  private static final int ROW_GAP = 16;

  private final WorkerThreads workers;
  private final Scratch[] scratch;
  private final WorkerThreads.RangeTask scaleFloats = this::scaleFloats;
  private final WorkerThreads.RangeTask scaleCodes = this::scaleCodes;
  private final WorkerThreads.RangeTask multiplyBlocks = this::multiplyBlocks;

  private @Nullable CodeWords weights;
  private int tokens;
  private boolean compiled;
  private float[] x = NOTHING;
  private int xOffset;
  private @Nullable QuantizedActivations quantized;
  private float[] y = NOTHING;
  private int yOffset;

  /** Inputs times {@link #powers}, [tokens, stride], with zeros behind the last column. */
  private float[] inputs = NOTHING;

  private int stride;

  /** Sums of the inputs, [tokens, runs]. */
  private float[] sums = NOTHING;

  /** What a column's input is multiplied by, along a run. */
  private final float[] powers = new float[CodeWords.LONGEST_RUN];

  PackedProduct(WorkerThreads workers) {
    this.workers = workers;
    scratch = new Scratch[workers.threads()];
    Arrays.setAll(scratch, i -> new Scratch());
  }

  /**
   * Multiplies float inputs.
   *
   * @param compiled whether to use the vector kernels
   */
  void multiply(
      float[] x, int xOffset, int tokens, CodeWords w, boolean compiled, float[] y, int yOffset) {
    this.compiled = compiled;
    this.x = x;
    this.xOffset = xOffset;
    multiply(tokens, w, null, scaleFloats, y, yOffset);
    this.x = NOTHING;
  }

  /**
   * Multiplies integer inputs.
   *
   * @param compiled whether to use the vector kernels
   */
  void multiply(QuantizedActivations x, CodeWords w, boolean compiled, float[] y, int yOffset) {
    this.compiled = compiled;
    multiply(x.tokens(), w, x, scaleCodes, y, yOffset);
  }

  private void multiply(
      int tokens,
      CodeWords w,
      @Nullable QuantizedActivations quantized,
      WorkerThreads.RangeTask scale,
      float[] y,
      int yOffset) {
    this.tokens = tokens;
    this.quantized = quantized;
    this.y = y;
    this.yOffset = yOffset;
    weights = w;
    reserve(w);
    if (tokens == 1) {
      scale.run(0, 1, 0);
    } else {
      workers.run(tokens, scale);
    }
    workers.run(w.blocks(), multiplyBlocks);
    this.quantized = null;
    this.y = NOTHING;
    weights = null;
  }

  private void reserve(CodeWords w) {
    for (int i = 0; i < w.runColumns(); i++) {
      powers[i] = Math.scalb(1f, -CodePanels.shift(w.bits(), i % w.unitColumns()));
    }
    stride = w.runs() * w.runColumns() + ROW_GAP;
    int inputsNeeded = Math.multiplyExact(tokens, stride);
    if (inputs.length < inputsNeeded) {
      inputs = new float[inputsNeeded];
    }
    int sumsNeeded = Math.multiplyExact(tokens, w.runs());
    if (sums.length < sumsNeeded) {
      sums = new float[sumsNeeded];
    }
    int resultsNeeded = Math.multiplyExact(tokens, BLOCK);
    for (Scratch s : scratch) {
      if (s.results.length < resultsNeeded) {
        s.results = new float[resultsNeeded];
      }
    }
  }

  private void scaleFloats(int from, int to, int worker) {
    CodeWords w = Objects.requireNonNull(weights);
    for (int t = from; t < to; t++) {
      for (int run = 0; run < w.runs(); run++) {
        int column = run * w.runColumns();
        int in = xOffset + t * w.columns() + column;
        int out = t * stride + column;
        int columns = Math.min(w.columns() - column, w.runColumns());
        for (int i = 0; i < columns; i++) {
          inputs[out + i] = x[in + i] * powers[i];
        }
        Arrays.fill(inputs, out + columns, out + w.runColumns(), 0);
        sums[t * w.runs() + run] = sum(x, in, columns);
      }
    }
  }

  /** In four chains, each of which would wait for itself. */
  private static float sum(float[] x, int from, int count) {
    double a = 0;
    double b = 0;
    double c = 0;
    double d = 0;
    int i = from;
    for (; i <= from + count - 4; i += 4) {
      a += x[i];
      b += x[i + 1];
      c += x[i + 2];
      d += x[i + 3];
    }
    for (; i < from + count; i++) {
      a += x[i];
    }
    return (float) ((a + b) + (c + d));
  }

  private void scaleCodes(int from, int to, int worker) {
    CodeWords w = Objects.requireNonNull(weights);
    byte[] codes = Objects.requireNonNull(quantized).codes;
    for (int t = from; t < to; t++) {
      for (int run = 0; run < w.runs(); run++) {
        int column = run * w.runColumns();
        int in = t * w.columns() + column;
        int out = t * stride + column;
        int columns = Math.min(w.columns() - column, w.runColumns());
        int sum = 0;
        for (int i = 0; i < columns; i++) {
          sum += codes[in + i];
          inputs[out + i] = codes[in + i] * powers[i];
        }
        Arrays.fill(inputs, out + columns, out + w.runColumns(), 0);
        sums[t * w.runs() + run] = sum;
      }
    }
  }

  private void multiplyBlocks(int from, int to, int worker) {
    CodeWords w = Objects.requireNonNull(weights);
    Scratch s = scratch[worker];
    for (int block = from; block < to; block++) {
      Arrays.fill(s.results, 0, tokens * BLOCK, 0);
      long scales = w.block(block);
      long codes = scales + CodeWords.BLOCK_BYTES;
      for (int run = 0; run < w.runs(); run++) {
        multiplyRun(w, run, scales, codes, s);
        scales += w.scaleStride();
        codes += w.codeStride();
      }
      int rows = Math.min(BLOCK, w.rows() - block * BLOCK);
      for (int t = 0; t < tokens; t++) {
        int out = yOffset + t * w.rows() + block * BLOCK;
        store(t, w.rowSums(), block * BLOCK, rows, s.results, out);
      }
    }
  }

  private void multiplyRun(CodeWords w, int run, long scales, long codes, Scratch s) {
    int units = w.units(run);
    int at = run * w.runColumns();
    if (!compiled) {
      multiplyPlainly(w, run, scales, codes, s);
    } else if (tokens == 1) {
      CodeDots.dot(w.bits(), w.words(), codes, units, inputs, at, s.dots);
      PanelKernels.add(w.words(), scales, s.dots, 1, sums, run, 0, s.results, 0);
    } else {
      CodePanels.expand(w.bits(), w.words(), codes, units, s.panel);
      int columns = units * w.unitColumns();
      for (int t = 0; t < tokens; t += TILE) {
        int count = Math.min(TILE, tokens - t);
        if (count == TILE) {
          PanelKernels.four(s.panel, columns, inputs, at + t * stride, stride, s.dots);
        } else {
          for (int i = 0; i < count; i++) {
            int in = at + (t + i) * stride;
            PanelKernels.one(s.panel, columns, inputs, in, s.dots, i * BLOCK);
          }
        }
        int sum = t * w.runs() + run;
        int out = t * BLOCK;
        PanelKernels.add(w.words(), scales, s.dots, count, sums, sum, w.runs(), s.results, out);
      }
    }
  }

  private void multiplyPlainly(CodeWords w, int run, long scales, long codes, Scratch s) {
    s.plain.expand(w, codes, w.units(run), s.panel);
    int at = run * w.runColumns();
    for (int t = 0; t < tokens; t++) {
      int columns = w.units(run) * w.unitColumns();
      PlainKernels.one(s.panel, columns, inputs, at + t * stride, s.dots);
      s.plain.add(w, scales, s.dots, sums[t * w.runs() + run], s.results, t * BLOCK);
    }
  }

  /**
   * Runs the vector kernels of one token on a little of the weights: of theirs, as the compiler
   * takes their kind of memory into account.
   */
  static Runnable sampleOfOne(CodeWords w) {
    int units = Math.min(4, w.units(0));
    float[] x = new float[units * w.unitColumns()];
    float[] dots = new float[2 * BLOCK];
    return () -> {
      long codes = w.block(0) + CodeWords.BLOCK_BYTES;
      CodeDots.dot(w.bits(), w.words(), codes, units, x, 0, dots);
      PanelKernels.add(w.words(), w.block(0), dots, 1, x, 0, 0, dots, BLOCK);
    };
  }

  /** As {@link #sampleOfOne} for more tokens. */
  static Runnable sampleOfMany(CodeWords w) {
    int units = Math.min(4, w.units(0));
    int columns = units * w.unitColumns();
    float[] panel = new float[columns * BLOCK];
    float[] x = new float[columns];
    float[] dots = new float[2 * TILE * BLOCK];
    return () -> {
      long codes = w.block(0) + CodeWords.BLOCK_BYTES;
      CodePanels.expand(w.bits(), w.words(), codes, units, panel);
      PanelKernels.four(panel, columns, x, 0, 0, dots);
      PanelKernels.one(panel, columns, x, 0, dots, 0);
      PanelKernels.add(w.words(), w.block(0), dots, TILE, x, 0, 0, dots, TILE * BLOCK);
    };
  }

  private void store(int token, float[] rowSums, int row, int rows, float[] results, int out) {
    QuantizedActivations q = quantized;
    if (q == null) {
      System.arraycopy(results, token * BLOCK, y, out, rows);
      return;
    }
    for (int i = 0; i < rows; i++) {
      float centred = results[token * BLOCK + i] - q.zeros[token] * rowSums[row + i];
      y[out + i] = q.scales[token] * centred;
    }
  }

  /** What a thread needs for itself. */
  private static final class Scratch {
    final PlainKernels plain = new PlainKernels();
    final float[] panel = new float[CodeWords.LONGEST_RUN * BLOCK];
    final float[] dots = new float[TILE * BLOCK];
    float[] results = NOTHING;
  }
}
