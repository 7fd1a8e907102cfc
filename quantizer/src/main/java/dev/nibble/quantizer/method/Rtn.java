package dev.nibble.quantizer.method;

/** Round to nearest: each group's range, without calibration. */
public final class Rtn {
  private Rtn() {}
}
