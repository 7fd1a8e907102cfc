package dev.nibble.quantizer.tokenizer;

/**
 * A token that is found in text before anything is split.
 *
 * @param id its id
 * @param content its text
 * @param singleWord only where it is no part of a longer word
 * @param stripLeft takes the white space before it along
 * @param stripRight takes the white space after it along
 * @param normalized found in normalized text instead of the text as given
 * @param special a control token: found on request only, and left out by decoding
 */
record AddedToken(
    int id,
    String content,
    boolean singleWord,
    boolean stripLeft,
    boolean stripRight,
    boolean normalized,
    boolean special) {

  /** A control token that is found exactly as it is written. */
  static AddedToken control(int id, String content) {
    return new AddedToken(id, content, false, false, false, false, true);
  }
}
