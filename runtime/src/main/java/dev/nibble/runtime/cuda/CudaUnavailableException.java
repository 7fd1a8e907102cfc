package dev.nibble.runtime.cuda;

/** A device was asked for where none can be opened. The message is one line and says what to do. */
public final class CudaUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  CudaUnavailableException(CudaStatus status) {
    super(status.summary() + "; " + status.advice());
  }
}
