package dev.nibble.quantizer.format;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SequencedSet;

/** Tensors by name: a checkpoint folder, or tensors made in memory. */
public interface TensorSource {
  /**
   * The names of all tensors.
   *
   * @return the names, in file order
   */
  SequencedSet<String> names();

  /**
   * Looks a tensor up.
   *
   * @param name its name
   * @return the tensor, or empty when there is none of that name
   */
  Optional<Tensor> find(String name);

  /**
   * The file a tensor lies in, or would, for messages.
   *
   * @param name its name
   * @return its path
   */
  default Path file(String name) {
    return Path.of("memory");
  }

  /**
   * Looks up a tensor that must be there.
   *
   * @param name its name
   * @param shape its dimensions, outermost first
   * @return the tensor
   * @throws ModelFormatException if it is missing or has another shape
   */
  default Tensor require(String name, long... shape) throws ModelFormatException {
    List<Long> expected = new ArrayList<>(shape.length);
    for (long dimension : shape) {
      expected.add(dimension);
    }
    Optional<Tensor> tensor = find(name);
    if (tensor.isEmpty()) {
      throw new ModelFormatException(
          file(name), name, "expected a tensor of shape " + expected + ", found none");
    }
    if (!tensor.get().shape().equals(expected)) {
      throw new ModelFormatException(
          file(name), name, "expected shape " + expected + ", found " + tensor.get().shape());
    }
    return tensor.get();
  }
}
