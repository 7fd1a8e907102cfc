package dev.nibble.bench.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.ActivationCodes;
import dev.nibble.runtime.kernel.ActivationQuantizer;
import dev.nibble.runtime.kernel.CodeRule;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.Epilogue;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.LargeGemm;
import dev.nibble.runtime.kernel.MatrixRows;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Any number of tokens, laid out in tiles; those of fewer than 16 bits quantized before. */
final class TiledProduct implements TokenProduct {
  private final Workbench bench;
  private final InputTiler tiler;
  private final LargeGemm gemm;
  private final ActivationQuantizer quantizer;
  private final int inputBits;
  private final InputTiler.Tiled tiled;
  private final LargeGemm.@Nullable CodeScales scales;
  private final MatrixRows x;
  private final MatrixRows y;
  private final int tokens;

  TiledProduct(
      Workbench bench,
      HostLinear linear,
      DeviceWeights weights,
      MatrixRows x,
      MatrixRows y,
      int tokens) {
    this.bench = bench;
    tiler = new InputTiler(bench.kernels());
    gemm = new LargeGemm(bench.kernels());
    quantizer = new ActivationQuantizer(bench.kernels());
    inputBits = linear.scheme().activationBits();
    int columns = linear.columns();
    InputTiler.Kind kind = inputBits == 16 ? InputTiler.Kind.HALVES : LargeGemm.codeTiles(weights);
    tiled =
        new InputTiler.Tiled(
            kind, tokens, columns, bench.room(InputTiler.bytes(kind, tokens, columns)));
    scales = inputBits == 16 ? null : scales(linear, weights, tokens);
    this.x = x;
    this.y = y;
    this.tokens = tokens;
  }

  private LargeGemm.CodeScales scales(HostLinear linear, DeviceWeights weights, int tokens) {
    int columns = linear.columns();
    int group = linear.scheme().groupSize() == 0 ? columns : linear.scheme().groupSize();
    ActivationCodes codes =
        new ActivationCodes(
            columns,
            group,
            bench.room(tokens * ActivationCodes.codeStride(columns)),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Integer.BYTES * tokens * Math.ceilDiv(columns, group)));
    return new LargeGemm.CodeScales(codes, rowSums(weights));
  }

  /** Sums over each row of the weights: their product with ones, as the engine has them. */
  private DeviceRange rowSums(DeviceWeights weights) {
    float[] ones = new float[weights.columns()];
    Arrays.fill(ones, 1f);
    InputTiler.Kind halves = InputTiler.Kind.HALVES;
    InputTiler.Tiled one =
        new InputTiler.Tiled(
            halves,
            1,
            weights.columns(),
            bench.room(InputTiler.bytes(halves, 1, weights.columns())));
    DeviceRange sums = bench.room((long) Float.BYTES * weights.rows());
    tiler.halves(bench.stream(), new MatrixRows(bench.halves(ones), weights.columns()), one);
    gemm.multiply(
        bench.stream(),
        weights,
        null,
        one,
        null,
        Epilogue.STORE_FLOAT,
        new MatrixRows(sums, weights.rows()));
    return sums;
  }

  @Override
  public String name() {
    return "gemm";
  }

  @Override
  public String inputKernels() {
    return inputBits == 16 ? "gemm_tile" : "act_quant and gemm_tile";
  }

  @Override
  public void makeInput() {
    if (scales == null) {
      tiler.halves(bench.stream(), x, tiled);
    } else {
      CodeRule rule = CodeRule.dynamic(inputBits);
      quantizer.quantize(bench.stream(), x, tokens, rule, scales.codes());
      tiler.codes(bench.stream(), scales.codes(), tiled);
    }
  }

  @Override
  public void multiply(DeviceWeights weights) {
    gemm.multiply(bench.stream(), weights, null, tiled, scales, Epilogue.STORE_HALF, y);
  }
}
