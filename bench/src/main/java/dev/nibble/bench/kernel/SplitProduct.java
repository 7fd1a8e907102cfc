package dev.nibble.bench.kernel;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.SkinnyGemm;
import java.util.List;

/** Some tokens, split into parts of 8 bits. */
final class SplitProduct implements TokenProduct {
  private final Workbench bench;
  private final SkinnyGemm skinny;
  private final PackedLayout layout;
  private final SkinnyGemm.Split split;
  private final DeviceRange sums;
  private final MatrixRows x;
  private final MatrixRows y;
  private final int tokens;

  SplitProduct(Workbench bench, PackedLayout layout, MatrixRows x, MatrixRows y, int tokens) {
    this.bench = bench;
    this.layout = layout;
    skinny = new SkinnyGemm(bench.kernels());
    split =
        new SkinnyGemm.Split(
            bench.room(SkinnyGemm.partBytes(tokens, layout.columns())),
            bench.room(SkinnyGemm.runBytes(tokens, layout.columns())),
            bench.room((long) Float.BYTES * tokens));
    sums = bench.zeros(SkinnyGemm.chainBytes(tokens, layout.paddedRows()));
    this.x = x;
    this.y = y;
    this.tokens = tokens;
  }

  @Override
  public String name() {
    return "skinny";
  }

  @Override
  public String inputKernels() {
    return "x_split";
  }

  @Override
  public void makeInput() {
    skinny.split(bench.stream(), layout, x, null, tokens, split);
  }

  @Override
  public void multiply(DeviceWeights weights) {
    skinny.multiply(
        bench.stream(),
        (DeviceWeights.Packed) weights,
        split,
        sums,
        tokens,
        List.of(new PackedGemv.Part(weights.rows(), null, null, y)),
        PackedGemv.Result.STORE_HALF);
  }
}
