package dev.nibble.bench.kernel;

import dev.nibble.bench.LinearShape;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.DenseGemv;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.SkinnyGemm;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** A linear times numbers of tokens, by the kernels that the engine takes for them. */
public final class ProductBench {
  private static final long SEED = 0x6e6962626c65L;

  /** Launches of a graph, so that its own start does not count. */
  private static final int MANY_LAUNCHES = 48;

  private static final int FEW_LAUNCHES = 6;

  private final Workbench bench;
  private final int samples;

  /**
   * Prepares.
   *
   * @param bench the GPU
   * @param samples of each time
   */
  public ProductBench(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /**
   * Measures.
   *
   * @param shape of the linear
   * @param scheme of weights and inputs
   * @param tokens numbers of them
   * @return of each number the kernel alone, and with what makes its input
   * @throws WrongResultException if a product is not that of plain loops
   */
  public List<Timed> run(LinearShape shape, QuantScheme scheme, List<Integer> tokens) {
    List<Timed> found = new ArrayList<>();
    try (Arena arena = Arena.ofShared()) {
      HostLinear linear = HostLinear.random(shape, scheme, arena, SEED);
      List<DeviceWeights> weights = upload(bench, linear);
      for (int count : tokens) {
        found.addAll(run(shape, linear, weights, count));
      }
      bench.clear();
      if (LibraryProducts.has(scheme)) {
        found.addAll(new LibraryProducts(bench, samples).run(linear, tokens));
        bench.clear();
      }
    }
    return found;
  }

  /** As many copies as no cache holds. */
  static List<DeviceWeights> upload(Workbench bench, HostLinear linear) {
    DeviceRange matrix = bench.upload(linear.matrix());
    DeviceRange scales = linear.scales() == null ? null : bench.upload(linear.scales());
    DeviceRange zeros = linear.zeros() == null ? null : bench.upload(linear.zeros());
    List<DeviceWeights> weights = new ArrayList<>();
    for (int i = Workbench.rotations(linear.bytes()); i > 0; i--) {
      weights.add(
          linear.layout() == null
              ? new DeviceWeights.Dense(
                  DType.F16, linear.rows(), linear.columns(), bench.copy(matrix))
              : new DeviceWeights.Packed(
                  linear.layout(),
                  bench.copy(matrix),
                  bench.copy(Objects.requireNonNull(scales)),
                  zeros == null ? null : bench.copy(zeros)));
    }
    return weights;
  }

  private List<Timed> run(
      LinearShape shape, HostLinear linear, List<DeviceWeights> weights, int tokens) {
    HostInputs inputs = HostInputs.random(tokens, linear.columns(), SEED);
    MatrixRows x = new MatrixRows(bench.halves(inputs.values()), linear.columns());
    DeviceRange results = bench.room((long) Short.BYTES * tokens * linear.rows());
    MatrixRows y = new MatrixRows(results, linear.rows());
    TokenProduct product = product(linear, weights.getFirst(), x, y, tokens);
    product.makeInput();

    int launches = launches(weights.size(), tokens);
    results.fill(bench.stream(), (byte) 0xff);
    product.multiply(weights.getLast());
    String what = product.name() + " " + linear.scheme() + " " + shape.size() + ", " + tokens;
    ProductCheck.require(bench, what, linear, inputs, results);

    Map<String, String> parameters = new TreeMap<>();
    parameters.put("scheme", linear.scheme().toString());
    parameters.put("shape", shape.size());
    parameters.put("tokens", Integer.toString(tokens));
    List<Timed> found = new ArrayList<>();
    Spread alone =
        bench.microseconds(
            launches, i -> product.multiply(weights.get(i % weights.size())), samples);
    Work work = work(linear, tokens);
    found.add(new Timed(product.name(), "", Map.copyOf(parameters), alone, work));
    if (!product.inputKernels().isEmpty()) {
      Spread both =
          bench.microseconds(
              launches,
              i -> {
                product.makeInput();
                product.multiply(weights.get(i % weights.size()));
              },
              samples);
      parameters.put("with", product.inputKernels());
      found.add(new Timed(product.name(), "", parameters, both, work));
    }
    // What was timed still computes the same.
    ProductCheck.require(bench, what, linear, inputs, results);
    return found;
  }

  private TokenProduct product(
      HostLinear linear, DeviceWeights weights, MatrixRows x, MatrixRows y, int tokens) {
    if (linear.scheme().quantizesActivations()) {
      return weights instanceof DeviceWeights.Packed && tokens <= SkinnyGemm.MAX_TOKENS
          ? new CodedProduct(bench, linear, weights, x, y, tokens)
          : new TiledProduct(bench, linear, weights, x, y, tokens);
    }
    return switch (weights) {
      case DeviceWeights.Dense _ when tokens <= DenseGemv.MAX_TOKENS ->
          new StreamedProduct(bench, linear, x, y, tokens);
      case DeviceWeights.Packed packed
          when new PackedGemv(bench.kernels())
              .takes(packed, tokens, PackedGemv.Result.STORE_HALF) ->
          new StreamedProduct(bench, linear, x, y, tokens);
      case DeviceWeights.Packed packed when tokens <= SkinnyGemm.MAX_TOKENS ->
          new SplitProduct(bench, packed.layout(), x, y, tokens);
      default -> new TiledProduct(bench, linear, weights, x, y, tokens);
    };
  }

  /** Whole turns through the copies. */
  static int launches(int copies, int tokens) {
    int least = tokens > SkinnyGemm.MAX_TOKENS ? FEW_LAUNCHES : MANY_LAUNCHES;
    return Math.ceilDiv(least, copies) * copies;
  }

  static Work work(HostLinear linear, int tokens) {
    long ends = (long) Short.BYTES * tokens * (linear.rows() + linear.columns());
    return new Work(linear.bytes() + ends, 2L * tokens * linear.rows() * linear.columns());
  }
}
