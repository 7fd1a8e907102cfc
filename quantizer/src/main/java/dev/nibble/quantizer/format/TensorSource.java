package dev.nibble.quantizer.format;

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
}
