package dev.nibble.runtime.cuda;

/** A cuBLASLt function failed. The message is one line: function, name and code. */
public final class CublasLtException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String message;
  private final int code;

  CublasLtException(String function, int code, String name) {
    message = function + " failed: " + name + " (" + code + ")";
    this.code = code;
  }

  @Override
  public String getMessage() {
    return message;
  }

  /**
   * Why it failed.
   *
   * @return the cublasStatus_t
   */
  public int code() {
    return code;
  }
}
