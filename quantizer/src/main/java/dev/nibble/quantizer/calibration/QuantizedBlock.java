package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorNames;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What a method made of a block.
 *
 * @param linears the packed linears; empty when weights stay at 16 bits
 * @param tensors what is written in place of source tensors of the same names, or beside them:
 *     norms, biases, outliers, orders
 * @param errors for each packed linear the Frobenius norm of what rounding changed over that of the
 *     weights
 * @param effective the block as the engines compute it, for the next block's inputs
 * @param precision how its activations are rounded
 * @param outputs what {@code effective} makes of the task's quantized inputs, where the method has
 *     them at hand
 */
public record QuantizedBlock(
    Map<LinearRole, QuantizedLinear> linears,
    List<Tensor> tensors,
    Map<LinearRole, Double> errors,
    TransformerBlock effective,
    BlockPrecision precision,
    Optional<HiddenStates> outputs) {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Copies the collections. */
  public QuantizedBlock {
    linears = byRole(linears);
    tensors = List.copyOf(tensors);
    errors = byRole(errors);
  }

  /**
   * A block whose outputs are not known yet.
   *
   * @param linears the packed linears
   * @param tensors what is written besides
   * @param errors how far each linear moved
   * @param effective the block as the engines compute it
   * @param precision how its activations are rounded
   */
  public QuantizedBlock(
      Map<LinearRole, QuantizedLinear> linears,
      List<Tensor> tensors,
      Map<LinearRole, Double> errors,
      TransformerBlock effective,
      BlockPrecision precision) {
    this(linears, tensors, errors, effective, precision, Optional.empty());
  }

  /**
   * The same block, its outputs known.
   *
   * @param states what {@link #effective} makes of the task's quantized inputs
   * @return the block
   */
  public QuantizedBlock withOutputs(HiddenStates states) {
    return new QuantizedBlock(linears, tensors, errors, effective, precision, Optional.of(states));
  }

  private static <T> Map<LinearRole, T> byRole(Map<LinearRole, T> entries) {
    Map<LinearRole, T> copy = new EnumMap<>(LinearRole.class);
    copy.putAll(entries);
    return copy;
  }

  /**
   * The result of a method that writes nothing but codes, norms and biases.
   *
   * @param source the block as it was; it is not changed
   * @param transformed its norms and biases after the method's transformation; its weights become
   *     those of the codes
   * @param linears the packed linears
   * @param precision how activations are rounded
   * @return the block
   */
  public static QuantizedBlock of(
      TransformerBlock source,
      TransformerBlock transformed,
      Map<LinearRole, QuantizedLinear> linears,
      BlockPrecision precision) {
    Map<LinearRole, Double> errors = new EnumMap<>(LinearRole.class);
    linears.forEach((role, linear) -> {
      TransformerBlock.Parameters before = transformed.linear(role);
      float[] rounded = linear.toFloats();
      errors.put(role, relativeError(before.weight(), rounded));
      transformed.setLinear(role, new TransformerBlock.Parameters(rounded, before.bias()));
    });
    return new QuantizedBlock(
        linears, changed(source, transformed), errors, transformed, precision);
  }

  /**
   * How far weights moved.
   *
   * @param weights the weights
   * @param rounded what became of them
   * @return Frobenius norm of the difference over that of the weights; 0 for weights that are all 0
   */
  public static double relativeError(float[] weights, float[] rounded) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < weights.length; i++) {
      double d = (double) weights[i] - rounded[i];
      error += d * d;
      norm += (double) weights[i] * weights[i];
    }
    return norm == 0 ? 0 : Math.sqrt(error / norm);
  }

  /**
   * The norms and biases that differ between two states of a block, as F32 tensors.
   *
   * @param source the block as the checkpoint has it
   * @param transformed as it is to be written
   * @return the tensors
   */
  public static List<Tensor> changed(TransformerBlock source, TransformerBlock transformed) {
    TensorNames names = TensorNames.of(source.config().architecture());
    List<Tensor> tensors = new ArrayList<>();
    int layer = source.layer();
    addChanged(
        names.attentionNorm(layer), source.attentionNorm(), transformed.attentionNorm(), tensors);
    addChanged(names.mlpNorm(layer), source.mlpNorm(), transformed.mlpNorm(), tensors);
    for (LinearRole role : source.roles()) {
      addBias(source.name(role), source.linear(role), transformed.linear(role), tensors);
    }
    return tensors;
  }

  private static void addChanged(
      ModuleName module,
      TransformerBlock.Parameters before,
      TransformerBlock.Parameters after,
      List<Tensor> tensors) {
    if (!Arrays.equals(before.weight(), after.weight())) {
      tensors.add(floats(module.weight(), after.weight()));
    }
    addBias(module, before, after, tensors);
  }

  private static void addBias(
      ModuleName module,
      TransformerBlock.Parameters before,
      TransformerBlock.Parameters after,
      List<Tensor> tensors) {
    if (after.bias().isPresent()) {
      float[] bias = after.bias().get();
      if (before.bias().isEmpty() || !Arrays.equals(before.bias().get(), bias)) {
        tensors.add(floats(module.bias(), bias));
      }
    }
  }

  /**
   * A vector as an F32 tensor.
   *
   * @param name the tensor's name
   * @param values its elements
   * @return the tensor
   */
  public static Tensor floats(String name, float[] values) {
    MemorySegment data = MemorySegment.ofArray(new byte[Math.multiplyExact(4, values.length)]);
    MemorySegment.copy(values, 0, data, FLOAT, 0, values.length);
    return new Tensor(name, DType.F32, List.of((long) values.length), data);
  }
}
