package dev.nibble.quantizer.tokenizer;

import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

/** How the texts of tokens become text, after the decoders of the tokenizers library. */
enum TokenDecoding {
  /** Each character is a byte. */
  BYTE_LEVEL,
  /** U+2581 is a space, byte tokens are bytes. */
  SENTENCE_PIECE,
  /** The same, and one space at the start of the whole text is taken off. */
  SENTENCE_PIECE_STRIPPED,
  /** U+2581 is a space, but nothing in the first token. */
  METASPACE_PREFIXED,
  /** U+2581 is a space. */
  METASPACE;

  /**
   * A decoder for one stream.
   *
   * @param texts the text of an id, null for one that decodes to nothing
   */
  Tokenizer.StreamingDecoder stream(IntFunction<@Nullable String> texts) {
    return new Stream(this, texts);
  }

  /**
   * Byte tokens: the reference turns a whole run of them into U+FFFD if any part of it is broken.
   * Here only the broken part is, as in SentencePiece; otherwise a stream could not show a
   * character before the run has ended.
   */
  private static final class Stream implements Tokenizer.StreamingDecoder {
    private final TokenDecoding decoding;
    private final IntFunction<@Nullable String> texts;
    private final StringBuilder out = new StringBuilder();
    private final Utf8Assembler bytes;
    private boolean first = true;

    Stream(TokenDecoding decoding, IntFunction<@Nullable String> texts) {
      this.decoding = decoding;
      this.texts = texts;
      bytes =
          new Utf8Assembler(
              decoding == BYTE_LEVEL
                  ? Utf8Assembler.Replacement.EACH_SEQUENCE
                  : Utf8Assembler.Replacement.EACH_BYTE);
    }

    @Override
    public String next(int id) {
      String token = texts.apply(id);
      if (token == null) {
        return "";
      }
      switch (decoding) {
        case BYTE_LEVEL -> {
          for (byte b : ByteLevelAlphabet.bytes(token)) {
            bytes.append(b, out);
          }
        }
        case SENTENCE_PIECE, SENTENCE_PIECE_STRIPPED -> {
          int value = SentencePieceModel.byteOf(token);
          if (value >= 0) {
            bytes.append((byte) value, out);
          } else {
            bytes.flush(out);
            out.append(token.replace(SentencePieceTokenizer.SPACE_SYMBOL, ' '));
          }
        }
        case METASPACE_PREFIXED, METASPACE -> {
          String space = first && decoding == METASPACE_PREFIXED ? "" : " ";
          out.append(token.replace(String.valueOf(SentencePieceTokenizer.SPACE_SYMBOL), space));
          first = false;
        }
      }
      return take();
    }

    @Override
    public String finish() {
      bytes.flush(out);
      return take();
    }

    private String take() {
      if (first && decoding == SENTENCE_PIECE_STRIPPED && !out.isEmpty()) {
        if (out.charAt(0) == ' ') {
          out.deleteCharAt(0);
        }
        first = false;
      }
      String text = out.toString();
      out.setLength(0);
      return text;
    }
  }
}
