package dev.nibble.quantizer.tokenizer;

import java.util.OptionalInt;

/** Turns text into token ids and back. Immutable and thread-safe. */
public interface Tokenizer {
  /**
   * Encodes text. Names of control tokens in the text are plain text.
   *
   * @param text any text; unpaired surrogates count as U+FFFD
   * @param addBos whether the model's own beginning-of-text token is put in front, if it has one
   * @return the ids
   */
  int[] encode(String text, boolean addBos);

  /**
   * Encodes a rendered chat template, in which the names of special tokens stand for the tokens.
   *
   * @param text the rendered template; no beginning-of-text token is added
   * @return the ids
   */
  int[] encodeWithSpecialTokens(String text);

  /**
   * Decodes ids, control tokens left out.
   *
   * @param ids the ids
   * @return the text; bytes that are not UTF-8 become U+FFFD
   * @throws IllegalArgumentException for an id outside the vocabulary
   */
  String decode(int[] ids);

  /**
   * Encodes text as the tokenizer's own implementation does unless told otherwise: the tokenizers
   * library finds special tokens in any text, SentencePiece never does. For comparisons; text that
   * comes from elsewhere is safer with {@link #encode}.
   *
   * @param text any text
   * @param addBos whether the model's own beginning-of-text token is put in front, if it has one
   * @return the ids
   */
  int[] encodeAsReference(String text, boolean addBos);

  /**
   * Decodes ids as the tokenizer's own implementation does unless told otherwise: transformers
   * keeps the names of special tokens, SentencePiece leaves control pieces out.
   *
   * @param ids the ids
   * @return the text
   * @throws IllegalArgumentException for an id outside the vocabulary
   */
  String decodeAsReference(int[] ids);

  /**
   * A decoder for a stream of tokens; what it returns, joined, is {@link #decode} of them all.
   *
   * @return a new decoder, for one thread
   */
  StreamingDecoder newDecoder();

  /**
   * Ids the tokenizer knows.
   *
   * @return one more than the largest id
   */
  int vocabSize();

  /**
   * The id of a token.
   *
   * @param token its exact text, such as {@code <|eot_id|>}
   * @return its id, or empty
   */
  OptionalInt id(String token);

  /** Decodes token by token, never splitting a code point. */
  interface StreamingDecoder {
    /**
     * Takes the next token.
     *
     * @param id its id
     * @return text that is whole now; may be empty
     */
    String next(int id);

    /**
     * Ends the stream.
     *
     * @return what was held back
     */
    String finish();
  }
}
