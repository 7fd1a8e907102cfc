package dev.nibble.bench.kernel;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.PackedGemv.Part;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Products of one token as a decode step has them, with what their kernel does beside. */
public final class StepProductBench {
  private static final long SEED = 0x73746570L;
  private static final float EPSILON = 1e-5f;

  /** A norm's weights are about 1. */
  private static final float NORM_DEVIATION = 0.1f;

  /** Two factors have longer tails than a product, where halves are coarser. */
  private static final double LIMIT = 2 * Tolerance.LIMIT;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public StepProductBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /** What the kernel does beside the product. */
  public enum Form {
    /** q, k and v: RMSNorm before. */
    NORM("norm", 3, Result.STORE_HALF),
    /** gate and up: RMSNorm before, silu of the first times the second behind. */
    NORM_SWIGLU("norm+swiglu", 2, Result.SWIGLU_HALF),
    /** o, and down: the sum with the residual stream. */
    ADD("add", 1, Result.ADD_FLOAT);

    private final String label;
    private final int parts;
    private final Result result;

    Form(String label, int parts, Result result) {
      this.label = label;
      this.parts = parts;
      this.result = result;
    }

    /**
     * Finds one.
     *
     * @param label as {@link #label} gives it
     * @return the form
     * @throws IllegalArgumentException if there is no such form
     */
    public static Form of(String label) {
      for (Form form : values()) {
        if (form.label.equals(label)) {
          return form;
        }
      }
      throw new IllegalArgumentException(
          "product as '" + label + "': expected norm, norm+swiglu or add");
    }

    /**
     * What results call it.
     *
     * @return such as {@code norm+swiglu}
     */
    public String label() {
      return label;
    }

    /** Results of a token. */
    int outputs(HostLinear linear) {
      return this == NORM_SWIGLU ? linear.rows() / parts : linear.rows();
    }

    private int elementBytes() {
      return this == ADD ? Float.BYTES : Short.BYTES;
    }

    /**
     * What comes of some rows, by plain loops.
     *
     * @param x what the weights are multiplied with
     * @param before what y holds
     * @param first row, a multiple of {@link HostLinear#BLOCK}
     */
    double[] expected(HostLinear linear, double[] x, float[] before, int first) {
      double[] y = ProductCheck.times(linear.block(first), x);
      switch (this) {
        case NORM -> {}
        case NORM_SWIGLU -> {
          double[] up = ProductCheck.times(linear.block(first + outputs(linear)), x);
          for (int r = 0; r < y.length; r++) {
            y[r] *= up[r] / (1 + Math.exp(-y[r]));
          }
        }
        case ADD -> {
          for (int r = 0; r < y.length; r++) {
            y[r] += before[first + r];
          }
        }
      }
      return y;
    }
  }

  /**
   * Measures.
   *
   * @param shape of the linear, its rows a multiple of 64 for each of the form's parts
   * @param scheme of its weights; inputs at 16 bits
   * @param form of the product
   * @return its time
   * @throws WrongResultException if a result is not that of plain loops
   */
  public Timed run(LinearShape shape, QuantScheme scheme, Form form) {
    int rows = shape.rows() / form.parts;
    if (rows * form.parts != shape.rows() || rows % HostLinear.BLOCK != 0) {
      throw new IllegalArgumentException(
          shape.size() + ": expected " + form.parts + " times a multiple of 64 rows");
    }
    try (Arena arena = Arena.ofShared()) {
      HostLinear linear = HostLinear.random(shape, scheme, arena, SEED);
      List<DeviceWeights> weights = ProductBench.upload(bench, linear);
      float[] input = HostInputs.random(1, shape.columns(), SEED).values();
      float[] norm = form == Form.ADD ? null : normWeights(shape.columns());
      float[] before = HostInputs.random(1, shape.rows(), SEED + 1).values();
      DeviceRange start = bench.upload(MemorySegment.ofArray(before));
      DeviceRange y = bench.copy(start);
      StreamedProduct product = product(linear, form, input, norm, y);
      double[] x = multiplied(input, norm);
      Runnable check =
          () -> {
            y.buffer()
                .copyFrom(bench.stream(), y.offset(), start.buffer(), start.offset(), y.bytes());
            product.multiply(weights.getLast());
            require(product.name() + " " + scheme + " " + shape.size(), linear, form, x, before, y);
          };
      check.run();
      Spread time =
          bench.microseconds(
              ProductBench.launches(weights.size(), 1),
              i -> product.multiply(weights.get(i % weights.size())),
              samples);
      check.run();
      bench.clear();
      Map<String, String> parameters =
          Map.of(
              "scheme", scheme.toString(), "shape", shape.size(), "tokens", "1", "as", form.label);
      return new Timed(product.name(), "", parameters, time, work(linear, form));
    }
  }

  private StreamedProduct product(
      HostLinear linear, Form form, float[] input, float @Nullable [] norm, DeviceRange y) {
    int columns = linear.columns();
    int rows = linear.rows() / form.parts;
    MatrixRows results = new MatrixRows(y, linear.rows());
    List<Part> parts = new ArrayList<>();
    for (int i = 0; i < form.parts; i++) {
      parts.add(new Part(rows, null, null, results.from((long) i * rows, form.elementBytes())));
    }
    return norm == null
        ? new StreamedProduct(
            bench,
            linear,
            new MatrixRows(bench.halves(input), columns),
            null,
            1,
            parts,
            form.result)
        : new StreamedProduct(
            bench,
            linear,
            new MatrixRows(bench.upload(MemorySegment.ofArray(input)), columns),
            new PackedGemv.Norm(bench.upload(MemorySegment.ofArray(norm)), null, EPSILON),
            1,
            parts,
            form.result);
  }

  private static float[] normWeights(int columns) {
    float[] weights = HostInputs.random(1, columns, SEED + 2).values();
    for (int i = 0; i < columns; i++) {
      weights[i] = 1 + NORM_DEVIATION * weights[i];
    }
    return weights;
  }

  /** The input over its root mean square, times the norm's weights; as it is without a norm. */
  static double[] multiplied(float[] input, float @Nullable [] norm) {
    double squares = 0;
    for (float value : input) {
      squares += (double) value * value;
    }
    double scale = 1 / Math.sqrt(squares / input.length + EPSILON);
    double[] x = new double[input.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = norm == null ? input[i] : input[i] * scale * norm[i];
    }
    return x;
  }

  private void require(
      String what, HostLinear linear, Form form, double[] x, float[] before, DeviceRange y) {
    int outputs = form.outputs(linear);
    float[] found =
        form == Form.ADD
            ? bench.read(y).toArray(ValueLayout.JAVA_FLOAT)
            : bench.readHalves(y.slice(0, (long) Short.BYTES * outputs));
    for (int block : ProductCheck.spread(outputs / HostLinear.BLOCK)) {
      int first = block * HostLinear.BLOCK;
      Tolerance.require(
          what + " as " + form.label + ", rows from " + first,
          form.expected(linear, x, before, first),
          Arrays.copyOfRange(found, first, first + HostLinear.BLOCK),
          LIMIT);
    }
  }

  /** The residual stream is float: what a norm reads, and what is added to and written again. */
  private static Work work(HostLinear linear, Form form) {
    long input = (form == Form.ADD ? Short.BYTES : 2L * Float.BYTES) * linear.columns();
    long output = (form == Form.ADD ? 2L * Float.BYTES : Short.BYTES) * form.outputs(linear);
    return new Work(linear.bytes() + input + output, 2L * linear.rows() * linear.columns());
  }
}
