package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.CublasLt;
import dev.nibble.runtime.cuda.DeviceRange;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntConsumer;

/**
 * cuBLASLt's products of the same shapes, by the fastest of the algorithms that it advises: fp16
 * beside W16A16, int8 with int8 results beside W8A8. Its answers are held to those of plain loops
 * by the tests of {@link CublasLt}.
 */
final class LibraryProducts {
  /** Tokens from which a library is a measure. */
  private static final int FEWEST_TOKENS = 16;

  private static final int SAMPLES_OF_CHOICE = 3;
  private static final int LAUNCHES_OF_CHOICE = 4;
  private static final QuantScheme BYTES = QuantScheme.parse("W8A8");

  private final Workbench bench;
  private final int samples;

  LibraryProducts(Workbench bench, int samples) {
    this.bench = bench;
    this.samples = samples;
  }

  /** Whether the library multiplies such numbers. */
  static boolean has(QuantScheme scheme) {
    return scheme.equals(QuantScheme.W16A16) || scheme.equals(BYTES);
  }

  /** Times of the larger of some numbers of tokens; none without the library. */
  List<Timed> run(HostLinear linear, List<Integer> tokens) {
    List<Timed> found = new ArrayList<>();
    Optional<CublasLt> library = CublasLt.open(bench.device());
    if (library.isPresent()) {
      try (CublasLt blas = library.get()) {
        DeviceRange matrix = bench.upload(linear.matrix());
        List<DeviceRange> copies = new ArrayList<>();
        for (int i = Workbench.rotations(matrix.bytes()); i > 0; i--) {
          copies.add(bench.copy(matrix));
        }
        for (int count : tokens) {
          if (count >= FEWEST_TOKENS) {
            found.add(run(blas, linear, copies, count));
          }
        }
      }
    }
    return found;
  }

  private Timed run(CublasLt blas, HostLinear linear, List<DeviceRange> copies, int tokens) {
    boolean bytes = linear.scheme().equals(BYTES);
    int size = bytes ? Byte.BYTES : Short.BYTES;
    float[] values = HostInputs.random(tokens, linear.columns(), tokens).values();
    DeviceRange x = bench.halves(values).slice(0, (long) size * values.length);
    DeviceRange y = bench.room((long) size * tokens * linear.rows());
    CublasLt.Numbers numbers = bytes ? CublasLt.Numbers.BYTES : CublasLt.Numbers.HALVES;
    try (CublasLt.Product product =
        blas.product(numbers, tokens, linear.rows(), linear.columns())) {
      int best = fastest(product, copies, x, y);
      IntConsumer work =
          i -> product.multiply(bench.stream(), best, copies.get(i % copies.size()), x, y);
      Spread spread =
          bench.microseconds(ProductBench.launches(copies.size(), tokens), work, samples);
      return new Timed(
          "gemm.cublaslt",
          "cuBLASLt " + CublasLt.version().orElseThrow(),
          Map.of(
              "scheme",
              linear.scheme().toString(),
              "shape",
              linear.rows() + "x" + linear.columns(),
              "tokens",
              Integer.toString(tokens)),
          spread,
          new Work(
              (long) size
                  * ((long) linear.rows() * linear.columns()
                      + (long) tokens * (linear.rows() + linear.columns())),
              2L * tokens * linear.rows() * linear.columns()));
    }
  }

  /** The choice of least time. */
  private int fastest(
      CublasLt.Product product, List<DeviceRange> copies, DeviceRange x, DeviceRange y) {
    int best = 0;
    double least = Double.MAX_VALUE;
    for (int choice = 0; choice < product.choices(); choice++) {
      int tried = choice;
      double time =
          bench
              .microseconds(
                  LAUNCHES_OF_CHOICE,
                  i -> product.multiply(bench.stream(), tried, copies.get(i % copies.size()), x, y),
                  SAMPLES_OF_CHOICE)
              .median();
      if (time < least) {
        least = time;
        best = choice;
      }
    }
    return best;
  }
}
