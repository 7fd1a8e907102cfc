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

/** Inputs as codes in tiles, and what a product with codes needs of the weights. */
final class CodedInput {
  private final Workbench bench;
  private final InputTiler tiler;
  private final ActivationQuantizer quantizer;
  private final CodeRule rule;
  private final MatrixRows x;
  private final InputTiler.Tiled tiled;
  private final ActivationCodes codes;
  private final DeviceRange rowSums;

  /**
   * Takes room.
   *
   * @param kind of the tiles
   * @param x fp16 [tokens, columns]
   */
  CodedInput(
      Workbench bench,
      HostLinear linear,
      DeviceWeights weights,
      InputTiler.Kind kind,
      MatrixRows x,
      int tokens) {
    this.bench = bench;
    this.x = x;
    tiler = new InputTiler(bench.kernels());
    quantizer = new ActivationQuantizer(bench.kernels());
    rule = CodeRule.dynamic(linear.scheme().activationBits());
    int columns = linear.columns();
    int group = linear.scheme().groupSize() == 0 ? columns : linear.scheme().groupSize();
    codes =
        new ActivationCodes(
            columns,
            group,
            bench.room(tokens * ActivationCodes.codeStride(columns)),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Float.BYTES * tokens),
            bench.room((long) Integer.BYTES * tokens * Math.ceilDiv(columns, group)));
    tiled =
        new InputTiler.Tiled(
            kind, tokens, columns, bench.room(InputTiler.bytes(kind, tokens, columns)));
    rowSums = rowSums(weights);
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
    new LargeGemm(bench.kernels())
        .multiply(
            bench.stream(),
            weights,
            null,
            one,
            null,
            Epilogue.STORE_FLOAT,
            new MatrixRows(sums, weights.rows()));
    return sums;
  }

  /** Quantizes and tiles. */
  void make() {
    quantizer.quantize(bench.stream(), x, tiled.tokens(), rule, codes);
    tiler.codes(bench.stream(), codes, tiled);
  }

  InputTiler.Tiled tiled() {
    return tiled;
  }

  ActivationCodes codes() {
    return codes;
  }

  /** float [rows]. */
  DeviceRange rowSums() {
    return rowSums;
  }
}
