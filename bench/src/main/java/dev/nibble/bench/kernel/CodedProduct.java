package dev.nibble.bench.kernel;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.SkinnyGemm;
import java.util.List;

/** Some tokens, quantized. */
final class CodedProduct implements TokenProduct {
  private final Workbench bench;
  private final SkinnyGemm skinny;
  private final DeviceRange sums;
  private final CodedInput input;
  private final MatrixRows y;

  CodedProduct(
      Workbench bench,
      HostLinear linear,
      DeviceWeights weights,
      MatrixRows x,
      MatrixRows y,
      int tokens) {
    this.bench = bench;
    this.y = y;
    skinny = new SkinnyGemm(bench.kernels());
    sums = bench.zeros(SkinnyGemm.chainBytes(tokens, weights.rows()));
    input = new CodedInput(bench, linear, weights, InputTiler.Kind.CODES, x, tokens);
  }

  @Override
  public String name() {
    return "skinny";
  }

  @Override
  public String inputKernels() {
    return "act_quant and gemm_tile";
  }

  @Override
  public void makeInput() {
    input.make();
  }

  @Override
  public void multiply(DeviceWeights weights) {
    skinny.multiply(
        bench.stream(),
        (DeviceWeights.Packed) weights,
        input.tiled(),
        input.codes(),
        input.rowSums(),
        sums,
        List.of(new PackedGemv.Part(weights.rows(), null, null, y)),
        PackedGemv.Result.STORE_HALF);
  }
}
