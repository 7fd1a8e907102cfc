package dev.nibble.runtime.engine;

/** A token whose logits are not numbers: the weights are damaged, or overflow in this scheme. */
public final class NonFiniteLogitsException extends ArithmeticException {
  private static final long serialVersionUID = 1L;

  /**
   * Creates the exception.
   *
   * @param position position of the token in its sequence
   */
  public NonFiniteLogitsException(int position) {
    super(
        "the logits at position "
            + position
            + " are not finite: the weights are damaged, or too large for the scheme");
  }
}
