package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.format.TensorSource;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Takes tensors out of a source, each checked for type and shape, and knows in the end which ones
 * nobody asked for.
 */
final class CheckedTensors {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final List<DType> FLOATS = List.of(DType.F32, DType.F16, DType.BF16);

  private final TensorSource source;
  private final Set<String> taken = new HashSet<>();
  private long bytes;

  CheckedTensors(TensorSource source) {
    this.source = source;
  }

  boolean has(String name) {
    return source.find(name).isPresent();
  }

  /** Size of the tensors taken so far. */
  long bytes() {
    return bytes;
  }

  /** A matrix of floats, left where it is. */
  WeightMatrix.Dense matrix(String name, int rows, int columns) throws ModelFormatException {
    Tensor tensor = take(name, FLOATS, rows, columns);
    return new WeightMatrix.Dense(tensor.dtype(), rows, columns, tensor.data());
  }

  WeightMatrix.Dense halfMatrix(String name, int rows, int columns) throws ModelFormatException {
    Tensor tensor = take(name, List.of(DType.F16), rows, columns);
    return new WeightMatrix.Dense(DType.F16, rows, columns, tensor.data());
  }

  MemorySegment data(String name, long elements, DType dtype) throws ModelFormatException {
    return take(name, List.of(dtype), elements).data();
  }

  /** Finite numbers of any float type. */
  float[] vector(String name, int length) throws ModelFormatException {
    return finite(take(name, FLOATS, length));
  }

  Optional<float[]> optionalVector(String name, int length) throws ModelFormatException {
    return has(name) ? Optional.of(vector(name, length)) : Optional.empty();
  }

  float[] floatVector(String name, int length) throws ModelFormatException {
    return finite(take(name, List.of(DType.F32), length));
  }

  int[] intVector(String name, int length) throws ModelFormatException {
    MemorySegment data = take(name, List.of(DType.I32), length).data();
    int[] values = new int[length];
    for (int i = 0; i < length; i++) {
      values[i] = data.get(INT, 4L * i);
    }
    return values;
  }

  /** Finite F16 numbers, as many as the file has, at most {@code limit}. */
  float[] halves(String name, long limit) throws ModelFormatException {
    return finite(take(name, List.of(DType.F16), length(name, limit)));
  }

  /** I32 numbers, as many as the file has, at most {@code limit}. */
  int[] ints(String name, long limit) throws ModelFormatException {
    return intVector(name, Math.toIntExact(length(name, limit)));
  }

  /** U16 permutations of 0 to width - 1: one row as a vector, more as a matrix. */
  int[][] permutations(String name, int rows, int width) throws ModelFormatException {
    List<DType> type = List.of(DType.U16);
    Tensor tensor =
        rows == 1 && rank(name) == 1 ? take(name, type, width) : take(name, type, rows, width);
    int[][] permutations = new int[rows][width];
    for (int row = 0; row < rows; row++) {
      boolean[] seen = new boolean[width];
      for (int i = 0; i < width; i++) {
        long at = Short.BYTES * ((long) row * width + i);
        int value = Short.toUnsignedInt(tensor.data().get(SHORT, at));
        if (value >= width || seen[value]) {
          throw problem(
              name,
              "expected a permutation of 0 to "
                  + (width - 1)
                  + ", found "
                  + value
                  + (value < width ? " twice" : ""));
        }
        seen[value] = true;
        permutations[row][i] = value;
      }
    }
    return permutations;
  }

  /** Refuses the first tensor that nothing took. */
  void finish() throws ModelFormatException {
    for (String name : source.names()) {
      if (!taken.contains(name) && !TensorNames.isRedundant(name)) {
        throw problem(name, "unknown tensor; leaving it out would change what the model says");
      }
    }
  }

  ModelFormatException problem(String tensor, String problem) {
    return new ModelFormatException(source.file(tensor), tensor, problem);
  }

  private Tensor take(String name, List<DType> types, long... shape) throws ModelFormatException {
    Tensor tensor = source.require(name, shape);
    if (!types.contains(tensor.dtype())) {
      throw problem(name, "expected type " + types + ", found " + tensor.dtype());
    }
    if (taken.add(name)) {
      bytes = Math.addExact(bytes, tensor.data().byteSize());
    }
    return tensor;
  }

  private int rank(String name) {
    return source.find(name).map(tensor -> tensor.shape().size()).orElse(0);
  }

  private long length(String name, long limit) throws ModelFormatException {
    long length =
        source
            .find(name)
            .filter(tensor -> tensor.shape().size() == 1)
            .map(tensor -> tensor.shape().getFirst())
            .orElse(-1L);
    if (length < 0 || length > Math.min(limit, Integer.MAX_VALUE - 8)) {
      throw problem(name, "expected a vector of at most " + limit + " elements");
    }
    return length;
  }

  private float[] finite(Tensor tensor) throws ModelFormatException {
    float[] values = tensor.toFloats();
    for (int i = 0; i < values.length; i++) {
      if (!Float.isFinite(values[i])) {
        throw problem(
            tensor.name(), "expected finite numbers, found " + values[i] + " at index " + i);
      }
    }
    return values;
  }
}
