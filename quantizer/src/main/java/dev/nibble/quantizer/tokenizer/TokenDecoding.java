package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
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

  /** What becomes of a run of byte tokens that is not UTF-8. */
  enum BrokenRun {
    /** U+FFFD for its broken bytes, as in SentencePiece, so that characters show as they come. */
    IN_PART,
    /** U+FFFD for all its bytes, as the reference has it. */
    AS_A_WHOLE
  }

  /**
   * A decoder for one stream.
   *
   * @param texts the text of an id, null for one that decodes to nothing
   */
  Tokenizer.StreamingDecoder stream(IntFunction<@Nullable String> texts, BrokenRun brokenRun) {
    return new Stream(this, texts, brokenRun);
  }

  private static final class Stream implements Tokenizer.StreamingDecoder {
    private final TokenDecoding decoding;
    private final IntFunction<@Nullable String> texts;
    private final StringBuilder out = new StringBuilder();
    private final Utf8Assembler bytes;
    private final BrokenRun brokenRun;
    private final ByteArrayOutputStream run = new ByteArrayOutputStream();
    private boolean first = true;

    Stream(TokenDecoding decoding, IntFunction<@Nullable String> texts, BrokenRun brokenRun) {
      this.decoding = decoding;
      this.texts = texts;
      this.brokenRun = brokenRun;
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
          if (value < 0) {
            endRun();
            out.append(token.replace(SentencePieceTokenizer.SPACE_SYMBOL, ' '));
          } else if (brokenRun == BrokenRun.AS_A_WHOLE) {
            run.write(value);
          } else {
            bytes.append((byte) value, out);
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
      endRun();
      return take();
    }

    private void endRun() {
      bytes.flush(out);
      if (run.size() > 0) {
        try {
          out.append(UTF_8.newDecoder().decode(ByteBuffer.wrap(run.toByteArray())));
        } catch (CharacterCodingException e) {
          out.repeat('\uFFFD', run.size());
        }
        run.reset();
      }
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
