package dev.nibble.bench.kernel;

import dev.nibble.runtime.kernel.DenseGemv;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Few tokens: the weights are streamed past them, and they are read as they are. */
final class StreamedProduct implements TokenProduct {
  private final Workbench bench;
  private final PackedGemv packed;
  private final DenseGemv dense;
  private final boolean halves;
  private final MatrixRows x;
  private final PackedGemv.@Nullable Norm norm;
  private final List<PackedGemv.Part> parts;
  private final PackedGemv.Result result;
  private final int tokens;

  StreamedProduct(Workbench bench, HostLinear linear, MatrixRows x, MatrixRows y, int tokens) {
    this(
        bench,
        linear,
        x,
        null,
        tokens,
        List.of(new PackedGemv.Part(linear.rows(), null, null, y)),
        PackedGemv.Result.STORE_HALF);
  }

  /**
   * A product with what the engine does beside it.
   *
   * @param x fp16, or float where there is a norm
   * @param parts the linears that the weights are of
   * @param result what becomes of the products
   */
  StreamedProduct(
      Workbench bench,
      HostLinear linear,
      MatrixRows x,
      PackedGemv.@Nullable Norm norm,
      int tokens,
      List<PackedGemv.Part> parts,
      PackedGemv.Result result) {
    this.bench = bench;
    packed = new PackedGemv(bench.kernels());
    dense = new DenseGemv(bench.kernels());
    halves = linear.layout() == null;
    this.x = x;
    this.norm = norm;
    this.tokens = tokens;
    this.parts = parts;
    this.result = result;
  }

  @Override
  public String name() {
    return halves ? "dense_gemv" : "gemv";
  }

  @Override
  public String inputKernels() {
    return "";
  }

  @Override
  public void makeInput() {}

  @Override
  public void multiply(DeviceWeights weights) {
    switch (weights) {
      case DeviceWeights.Packed codes ->
          packed.multiply(bench.stream(), codes, x, norm, tokens, parts, result);
      case DeviceWeights.Dense matrix ->
          dense.multiply(bench.stream(), matrix, x, norm, tokens, parts, result);
    }
  }
}
