package dev.nibble.runtime.kernel;

/** What becomes of a product. */
public enum Epilogue {
  /** It is stored as fp16. */
  STORE_HALF,
  /** It is stored as float. */
  STORE_FLOAT,
  /** It is added to float. */
  ADD_FLOAT
}
