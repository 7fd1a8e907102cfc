package dev.nibble.bench.kernel;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.OutlierProduct;
import dev.nibble.runtime.kernel.RowSums;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;

/**
 * What some packed linears need beside their product: the columns that are kept at 16 bits, and the
 * sums of rows, which are made once when a model is loaded for quantized inputs.
 */
public final class BesideBench {
  private static final long SEED = 0x626573L;
  private static final int LAUNCHES = 48;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public BesideBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /**
   * Measures what kept columns add.
   *
   * @param shape of the linear
   * @param count columns that are kept
   * @param tokens rows of the input
   * @return its time; the L2 cache has what it reads
   * @throws WrongResultException if a result is not that of plain loops
   */
  public Timed outliers(LinearShape shape, int count, int tokens) {
    HostInputs inputs = HostInputs.random(tokens, shape.columns(), SEED);
    HostInputs weights = HostInputs.random(shape.rows(), count, SEED + 1);
    int[] kept =
        new Random(SEED).ints(0, shape.columns()).distinct().limit(count).sorted().toArray();
    OutlierProduct.Columns columns =
        new OutlierProduct.Columns(
            shape.rows(),
            bench.upload(MemorySegment.ofArray(kept)),
            bench.halves(weights.values()));
    MatrixRows x = new MatrixRows(bench.halves(inputs.values()), shape.columns());
    long rowBytes = (long) Float.BYTES * shape.rows();
    DeviceRange sums = bench.room(rowBytes * tokens);
    MatrixRows y = new MatrixRows(sums, shape.rows());
    OutlierProduct product = new OutlierProduct(bench.kernels());
    Spread time =
        bench.microseconds(
            LAUNCHES,
            _ ->
                product.launch(
                    bench.stream(),
                    columns,
                    x,
                    shape.columns(),
                    tokens,
                    OutlierProduct.Result.STORE_FLOAT,
                    y),
            samples);
    for (int token : ProductCheck.spread(tokens)) {
      double[] row = inputs.token(token, 16);
      double[] expected = new double[shape.rows()];
      for (int r = 0; r < shape.rows(); r++) {
        for (int k = 0; k < count; k++) {
          expected[r] += weights.values()[r * count + k] * row[kept[k]];
        }
      }
      float[] found =
          bench.read(sums.slice(token * rowBytes, rowBytes)).toArray(ValueLayout.JAVA_FLOAT);
      Tolerance.require("outlier_columns, token " + token, expected, found, Tolerance.LIMIT);
    }
    bench.clear();
    Map<String, String> parameters = new TreeMap<>();
    parameters.put("shape", shape.size());
    parameters.put("columns", Integer.toString(count));
    parameters.put("tokens", Integer.toString(tokens));
    long bytes = 2L * count * (shape.rows() + tokens) + rowBytes * tokens;
    return new Timed(
        "outlier_columns",
        "",
        parameters,
        time,
        new Work(bytes, 2L * count * shape.rows() * tokens));
  }

  /**
   * Measures the sums of a linear's rows.
   *
   * @param shape of the linear
   * @param scheme of its weights, packed
   * @return the time, of rotated weights
   * @throws WrongResultException if a sum is not that of plain loops
   */
  public Timed rowSums(LinearShape shape, QuantScheme scheme) {
    try (Arena arena = Arena.ofShared()) {
      HostLinear linear = HostLinear.random(shape, scheme, arena, SEED);
      List<DeviceWeights.Packed> weights = upload(linear);
      DeviceRange sums = bench.room((long) Float.BYTES * weights.getFirst().layout().paddedRows());
      RowSums kernel = new RowSums(bench.kernels());
      Spread time =
          bench.microseconds(
              ProductBench.launches(weights.size(), 1),
              i -> kernel.launch(bench.stream(), weights.get(i % weights.size()), sums),
              samples);
      float[] found = bench.read(sums).toArray(ValueLayout.JAVA_FLOAT);
      for (int first = 0; first < shape.rows(); first += HostLinear.BLOCK) {
        double[][] block = linear.block(first);
        double[] expected = new double[block.length];
        float[] ours = new float[block.length];
        for (int r = 0; r < block.length; r++) {
          for (double weight : block[r]) {
            expected[r] += weight;
          }
          ours[r] = found[first + r];
        }
        Tolerance.require("row_sums, rows from " + first, expected, ours, Tolerance.LIMIT);
      }
      bench.clear();
      Map<String, String> parameters = Map.of("shape", shape.size(), "scheme", scheme.toString());
      return new Timed("row_sums", "", parameters, time, new Work(linear.bytes(), 0));
    }
  }

  private List<DeviceWeights.Packed> upload(HostLinear linear) {
    DeviceRange codes = bench.upload(linear.matrix());
    DeviceRange scales = bench.upload(Objects.requireNonNull(linear.scales()));
    DeviceRange zeros = linear.zeros() == null ? null : bench.upload(linear.zeros());
    List<DeviceWeights.Packed> weights = new ArrayList<>();
    for (int i = Workbench.rotations(linear.bytes()); i > 0; i--) {
      weights.add(
          new DeviceWeights.Packed(
              Objects.requireNonNull(linear.layout()), bench.copy(codes), scales, zeros));
    }
    return weights;
  }
}
