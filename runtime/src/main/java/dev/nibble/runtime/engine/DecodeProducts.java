package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.ActivationCodes;
import dev.nibble.runtime.kernel.ActivationFunction;
import dev.nibble.runtime.kernel.CodeRule;
import dev.nibble.runtime.kernel.DenseGemv;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.OutlierProduct;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.PackedGemv.Part;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import dev.nibble.runtime.kernel.SkinnyGemm;
import dev.nibble.runtime.model.Linear;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Products of the few tokens of a decode step. With unquantized inputs, those of up to 4 tokens
 * stream the weights and do the norm before and the function behind themselves. A token's result is
 * the same in every batch.
 */
final class DecodeProducts {
  private final Stream stream;
  private final CudaKernels kernels;
  private final CudaWorkspace work;

  DecodeProducts(Stream stream, CudaKernels kernels, CudaWorkspace work) {
    this.stream = stream;
    this.kernels = kernels;
    this.work = work;
  }

  /** Whether it does a linear for so many tokens. */
  boolean takes(DeviceLinear linear, int rows) {
    return rows <= Math.min(SkinnyGemm.MAX_TOKENS, DenseGemv.MAX_TOKENS)
        && (linear.rule() == null || linear.weights() instanceof DeviceWeights.Packed);
  }

  /** y = linear(norm(residual)), or what becomes of it. */
  void normed(DeviceNorm norm, DeviceLinear linear, int rows, Result result, MatrixRows y) {
    CodeRule rule = linear.rule();
    PackedGemv.Norm fused = norm.fused();
    // Columns kept at 16 bits are read from what the norm makes.
    if (fused != null
        && rule == null
        && !linear.keepsColumns()
        && takesNorm(linear.weights(), fused, rows)) {
      multiply(linear, work.residual(), fused, rows, result, y);
      return;
    }
    kernels
        .norm()
        .launch(
            stream,
            norm.weights(),
            work.residual(),
            0,
            rows,
            rule == null || linear.keepsColumns() ? work.normed() : null,
            rule,
            rule == null ? null : work.codes(linear.columns()));
    if (rule == null) {
      multiply(linear, work.normed(), null, rows, result, y);
    } else {
      multiplyCodes(linear, work.normed(), rows, result, y);
    }
  }

  private boolean takesNorm(DeviceWeights weights, PackedGemv.Norm norm, int rows) {
    return switch (weights) {
      case DeviceWeights.Packed _ -> true;
      case DeviceWeights.Dense dense -> kernels.denseGemv().takesNorm(dense, norm, rows);
    };
  }

  /** y = linear(x), or what becomes of it. */
  void multiply(DeviceLinear linear, MatrixRows x, int rows, Result result, MatrixRows y) {
    CodeRule rule = linear.rule();
    if (rule == null) {
      multiply(linear, x, null, rows, result, y);
      return;
    }
    kernels
        .activation()
        .launch(
            stream,
            ActivationFunction.Kind.NONE,
            x,
            null,
            rows,
            linear.columns(),
            null,
            rule,
            work.codes(linear.columns()));
    multiplyCodes(linear, x, rows, result, y);
  }

  /**
   * Multiplies the codes.
   *
   * @param x what they were made of, which columns kept at 16 bits read
   */
  private void multiplyCodes(
      DeviceLinear linear, MatrixRows x, int rows, Result result, MatrixRows y) {
    List<Part> parts = parts(linear, result, y);
    addKept(linear, x, rows, parts);
    ActivationCodes codes = work.codes(linear.columns());
    InputTiler.Tiled tiled = work.tiled(InputTiler.Kind.CODES, rows, linear.columns());
    kernels.tiler().codes(stream, codes, tiled);
    MatrixRows rowSums = linear.rowSums();
    kernels
        .skinny()
        .multiply(
            stream,
            (DeviceWeights.Packed) linear.weights(),
            tiled,
            codes,
            rowSums == null ? null : rowSums.data(),
            work.sums(),
            parts,
            result);
  }

  private void multiply(
      DeviceLinear linear,
      MatrixRows x,
      PackedGemv.@Nullable Norm norm,
      int rows,
      Result result,
      MatrixRows y) {
    List<Part> parts = parts(linear, result, y);
    addKept(linear, x, rows, parts);
    switch (linear.weights()) {
      case DeviceWeights.Dense dense ->
          kernels.denseGemv().multiply(stream, dense, x, norm, rows, parts, result);
      case DeviceWeights.Packed packed -> {
        if (kernels.gemv().takes(packed, rows, result)) {
          kernels.gemv().multiply(stream, packed, x, norm, rows, parts, result);
        } else {
          SkinnyGemm.Split split = work.split();
          kernels.skinny().split(stream, packed.layout(), x, norm, rows, split);
          kernels.skinny().multiply(stream, packed, split, work.sums(), rows, parts, result);
        }
      }
    }
  }

  /** Gives the parts what their columns kept at 16 bits add. */
  private void addKept(DeviceLinear linear, MatrixRows x, int rows, List<Part> parts) {
    for (int i = 0; i < parts.size(); i++) {
      OutlierProduct.Columns kept = linear.keptColumns(i);
      if (kept != null) {
        MatrixRows addend = work.addends().from(linear.offset(i), Float.BYTES);
        kernels
            .outliers()
            .launch(
                stream, kept, x, linear.columns(), rows, OutlierProduct.Result.STORE_FLOAT, addend);
        Part part = parts.get(i);
        parts.set(i, new Part(part.rows(), part.bias(), addend, part.y()));
      }
    }
  }

  private static List<Part> parts(DeviceLinear linear, Result result, MatrixRows y) {
    int elementBytes =
        result == Result.STORE_FLOAT || result == Result.ADD_FLOAT ? Float.BYTES : Short.BYTES;
    List<Part> parts = new ArrayList<>();
    DeviceRange bias = linear.bias();
    for (int i = 0; i < linear.parts().size(); i++) {
      Linear part = linear.parts().get(i);
      int offset = linear.offset(i);
      parts.add(
          new Part(
              part.out(),
              bias == null
                  ? null
                  : bias.slice((long) Float.BYTES * offset, (long) Float.BYTES * part.out()),
              null,
              y.from(offset, elementBytes)));
    }
    return parts;
  }
}
