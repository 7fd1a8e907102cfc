package dev.nibble.bench.kernel;

import dev.nibble.runtime.kernel.DenseGemv;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import java.util.List;

/** Few tokens: the weights are streamed past them, and they are read as they are. */
final class StreamedProduct implements TokenProduct {
  private final Workbench bench;
  private final PackedGemv packed;
  private final DenseGemv dense;
  private final boolean halves;
  private final MatrixRows x;
  private final MatrixRows y;
  private final int tokens;

  StreamedProduct(Workbench bench, HostLinear linear, MatrixRows x, MatrixRows y, int tokens) {
    this.bench = bench;
    packed = new PackedGemv(bench.kernels());
    dense = new DenseGemv(bench.kernels());
    halves = linear.layout() == null;
    this.x = x;
    this.y = y;
    this.tokens = tokens;
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
    PackedGemv.Result result = PackedGemv.Result.STORE_HALF;
    List<PackedGemv.Part> parts = List.of(new PackedGemv.Part(weights.rows(), null, null, y));
    switch (weights) {
      case DeviceWeights.Packed codes ->
          packed.multiply(bench.stream(), codes, x, null, tokens, parts, result);
      case DeviceWeights.Dense matrix ->
          dense.multiply(bench.stream(), matrix, x, null, tokens, parts, result);
    }
  }
}
