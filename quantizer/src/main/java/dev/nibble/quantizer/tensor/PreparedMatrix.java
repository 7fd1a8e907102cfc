package dev.nibble.quantizer.tensor;

/**
 * A weight matrix in the form one provider multiplies with; made by {@link
 * TensorOperations#prepare}, and of use to that provider only.
 */
public interface PreparedMatrix {
  /**
   * Output channels.
   *
   * @return rows
   */
  int rows();

  /**
   * Input channels.
   *
   * @return columns
   */
  int columns();

  /**
   * Memory the prepared form holds.
   *
   * @return bytes
   */
  long bytes();
}
