package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.ActivationCodes;
import dev.nibble.runtime.kernel.ActivationQuantizer;
import dev.nibble.runtime.kernel.CodeRule;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.NormQuantizer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * RMSNorm, with and without quantization behind it, and quantization alone. What they read was just
 * written by another kernel, in a model too: the L2 cache has it.
 */
public final class RowBench {
  private static final long SEED = 0x726f77L;
  private static final int LAUNCHES = 48;
  private static final float EPSILON = 1e-5f;

  /** Codes of halves that lie at a boundary may differ by one. */
  private static final double CODE_LIMIT = 1.01;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public RowBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /**
   * Measures.
   *
   * @param tokens rows
   * @param columns of a row
   * @param bits of the codes
   * @return the norm, the norm with quantization, quantization
   * @throws WrongResultException if a result is not that of plain loops
   */
  public List<Timed> run(int tokens, int columns, int bits) {
    HostInputs inputs = HostInputs.random(tokens, columns, SEED);
    MatrixRows floats =
        new MatrixRows(bench.upload(MemorySegment.ofArray(inputs.values())), columns);
    MatrixRows halves = new MatrixRows(bench.halves(inputs.values()), columns);
    float[] ones = new float[columns];
    Arrays.fill(ones, 1f);
    NormQuantizer.Weights weights =
        new NormQuantizer.Weights(
            NormQuantizer.Kind.RMS,
            columns,
            EPSILON,
            bench.upload(MemorySegment.ofArray(ones)),
            null,
            null);
    DeviceRange out = bench.room((long) Short.BYTES * tokens * columns);
    MatrixRows y = new MatrixRows(out, columns);
    ActivationCodes codes =
        new ActivationCodes(
            columns,
            columns,
            bench.room(tokens * ActivationCodes.codeStride(columns)),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Integer.BYTES * tokens));
    NormQuantizer norm = new NormQuantizer(bench.kernels(), columns);
    ActivationQuantizer quantizer = new ActivationQuantizer(bench.kernels());
    CodeRule rule = CodeRule.dynamic(bits);

    Spread plain =
        bench.microseconds(
            LAUNCHES,
            _ -> norm.launch(bench.stream(), weights, floats, 0, tokens, y, null, null),
            samples);
    requireNorm(inputs, out);
    Spread quantized =
        bench.microseconds(
            LAUNCHES,
            _ -> norm.launch(bench.stream(), weights, floats, 0, tokens, null, rule, codes),
            samples);
    requireCodes("row_norm", normed(inputs), bits, codes);
    Spread alone =
        bench.microseconds(
            LAUNCHES,
            _ -> quantizer.quantize(bench.stream(), halves, tokens, rule, codes),
            samples);
    requireCodes("act_quant", inputs, bits, codes);

    Map<String, String> parameters = new TreeMap<>();
    parameters.put("tokens", Integer.toString(tokens));
    parameters.put("columns", Integer.toString(columns));
    Map<String, String> withBits = new TreeMap<>(parameters);
    withBits.put("bits", Integer.toString(bits));
    long size = (long) tokens * columns;
    bench.clear();
    return List.of(
        new Timed("row_norm", "", parameters, plain, new Work(6 * size, 0)),
        new Timed("row_norm", "", withBits, quantized, new Work(5 * size, 0)),
        new Timed("act_quant", "", withBits, alone, new Work(3 * size, 0)));
  }

  /** The rows, each over its root mean square. */
  private static HostInputs normed(HostInputs inputs) {
    float[] values = inputs.values().clone();
    for (int from = 0; from < values.length; from += inputs.columns()) {
      double squares = 0;
      for (int i = from; i < from + inputs.columns(); i++) {
        squares += (double) values[i] * values[i];
      }
      double scale = 1 / Math.sqrt(squares / inputs.columns() + EPSILON);
      for (int i = from; i < from + inputs.columns(); i++) {
        values[i] = (float) (values[i] * scale);
      }
    }
    return new HostInputs(inputs.tokens(), inputs.columns(), values);
  }

  private void requireNorm(HostInputs inputs, DeviceRange out) {
    HostInputs expected = normed(inputs);
    long rowBytes = (long) Short.BYTES * inputs.columns();
    for (int token : ProductCheck.spread(inputs.tokens())) {
      Tolerance.require(
          "row_norm, token " + token,
          expected.token(token, 16),
          bench.readHalves(out.slice(token * rowBytes, rowBytes)),
          Tolerance.LIMIT);
    }
  }

  private void requireCodes(String kernel, HostInputs inputs, int bits, ActivationCodes codes) {
    int columns = inputs.columns();
    long stride = ActivationCodes.codeStride(columns);
    for (int token : ProductCheck.spread(inputs.tokens())) {
      byte[] found =
          bench.read(codes.codes().slice(token * stride, columns)).toArray(ValueLayout.JAVA_BYTE);
      long at = (long) Float.BYTES * token;
      float step = bench.read(codes.scales().slice(at, Float.BYTES)).get(ValueLayout.JAVA_FLOAT, 0);
      float zero = bench.read(codes.zeros().slice(at, Float.BYTES)).get(ValueLayout.JAVA_FLOAT, 0);
      double[] expected = inputs.token(token, bits);
      for (int c = 0; c < columns; c++) {
        double value = (double) step * (found[c] - zero);
        if (!(Math.abs(value - expected[c]) <= CODE_LIMIT * step)) {
          throw new WrongResultException(
              kernel
                  + ", token "
                  + token
                  + ": column "
                  + c
                  + " stands for "
                  + value
                  + ", expected "
                  + expected[c]);
        }
      }
    }
  }
}
