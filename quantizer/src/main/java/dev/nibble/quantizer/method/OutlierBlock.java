package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputQuantizer;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.Tensor;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Collects what becomes of a block some of whose weights stay at 16 bits. */
final class OutlierBlock {
  private final BlockTask task;
  private final TransformerBlock effective;
  private final Map<LinearRole, QuantizedLinear> linears = new EnumMap<>(LinearRole.class);
  private final Map<LinearRole, Double> errors = new EnumMap<>(LinearRole.class);
  private final List<Tensor> tensors = new ArrayList<>();
  private final Map<InputSite, InputQuantizer> inputs = new EnumMap<>(InputSite.class);

  OutlierBlock(BlockTask task) {
    this.task = task;
    effective = task.block().copy();
    for (InputSite site : InputSite.values()) {
      inputs.put(site, InputQuantizer.perToken(task.scheme().activationBits()));
    }
  }

  /** The linears of a site, in the order of the arithmetic. */
  List<LinearRole> linears(InputSite site) {
    return task.block().roles().stream().filter(role -> InputSite.of(role) == site).toList();
  }

  /** A linear whose outlier columns are those of its site. */
  void add(LinearRole role, QuantizedLinear codes, OutlierColumns columns) {
    add(role, codes, columns, Float.POSITIVE_INFINITY);
  }

  /** The same, and inputs that reach a magnitude are not quantized either. */
  void add(LinearRole role, QuantizedLinear codes, OutlierColumns columns, float threshold) {
    float[] weight = task.block().linear(role).weight();
    ModuleName name = task.block().name(role);
    columns.empty(codes);
    List<Tensor> beside = new ArrayList<>(columns.tensors(name, weight));
    if (Float.isFinite(threshold)) {
      beside.add(QuantizedBlock.floats(name.outlierThreshold(), new float[] {threshold}));
    }
    add(role, codes, columns.joined(codes, weight), beside);
    inputs.put(InputSite.of(role), columns.quantizer(task.scheme().activationBits(), threshold));
  }

  /** A linear with the weights it stands for, and the tensors beside its codes. */
  void add(LinearRole role, QuantizedLinear codes, float[] stands, List<Tensor> beside) {
    Parameters exact = task.block().linear(role);
    linears.put(role, codes);
    errors.put(role, QuantizedBlock.relativeError(exact.weight(), stands));
    tensors.addAll(beside);
    effective.setLinear(role, new Parameters(stands, exact.bias()));
  }

  QuantizedBlock made() {
    return new QuantizedBlock(
        linears,
        tensors,
        errors,
        effective,
        new BlockPrecision(inputs, task.scheme().queryBits(), task.scheme().kvBits()));
  }
}
