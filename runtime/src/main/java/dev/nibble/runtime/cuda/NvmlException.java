package dev.nibble.runtime.cuda;

/** An NVML function failed. The message is one line: function, code and text. */
public final class NvmlException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String message;
  private final int code;

  NvmlException(String function, int code, String text) {
    message = function + " failed: " + text + " (" + code + ")";
    this.code = code;
  }

  @Override
  public String getMessage() {
    return message;
  }

  /**
   * Why it failed.
   *
   * @return the nvmlReturn_t
   */
  public int code() {
    return code;
  }
}
