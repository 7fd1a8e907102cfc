package dev.nibble.bench.kernel;

import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.Epilogue;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.LargeGemm;
import dev.nibble.runtime.kernel.MatrixRows;
import org.jspecify.annotations.Nullable;

/** Any number of tokens, laid out in tiles; those of fewer than 16 bits quantized before. */
final class TiledProduct implements TokenProduct {
  private final Workbench bench;
  private final InputTiler tiler;
  private final LargeGemm gemm;
  private final @Nullable CodedInput coded;
  private final InputTiler.Tiled tiled;
  private final MatrixRows x;
  private final MatrixRows y;

  TiledProduct(
      Workbench bench,
      HostLinear linear,
      DeviceWeights weights,
      MatrixRows x,
      MatrixRows y,
      int tokens) {
    this.bench = bench;
    this.x = x;
    this.y = y;
    tiler = new InputTiler(bench.kernels());
    gemm = new LargeGemm(bench.kernels());
    if (linear.scheme().quantizesActivations()) {
      int bits = linear.scheme().activationBits();
      coded = new CodedInput(bench, linear, weights, gemm.codeTiles(weights, bits), x, tokens);
      tiled = coded.tiled();
    } else {
      coded = null;
      InputTiler.Kind kind = InputTiler.Kind.HALVES;
      int columns = linear.columns();
      tiled =
          new InputTiler.Tiled(
              kind, tokens, columns, bench.room(InputTiler.bytes(kind, tokens, columns)));
    }
  }

  @Override
  public String name() {
    return "gemm";
  }

  @Override
  public String inputKernels() {
    return coded == null ? "gemm_tile" : "act_quant and gemm_tile";
  }

  @Override
  public void makeInput() {
    if (coded == null) {
      tiler.halves(bench.stream(), x, tiled);
    } else {
      coded.make();
    }
  }

  @Override
  public void multiply(DeviceWeights weights) {
    LargeGemm.CodeScales scales =
        coded == null ? null : new LargeGemm.CodeScales(coded.codes(), coded.rowSums());
    gemm.multiply(bench.stream(), weights, null, tiled, scales, Epilogue.STORE_HALF, y);
  }
}
