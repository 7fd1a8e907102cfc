package dev.nibble.quantizer.tokenizer;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A tokenizer of the tokenizers library: added tokens are cut out, the rest is normalized, split
 * into words, and each word is byte-pair encoded.
 */
final class BytePairTokenizer implements Tokenizer {
  private final Map<String, Integer> ids;

  /** By id; null for what decodes to nothing: control tokens and gaps. */
  private final @Nullable String[] texts;

  private final Map<Integer, String> specialTexts = new HashMap<>();
  private final AddedTokens addedTokens;
  private final List<PreTokenizer> preTokenizers;
  private final BytePairModel model;
  private final TokenDecoding decoding;
  private final int[] prefix;

  /**
   * What the tokenizer is made of.
   *
   * @param ids of all tokens, the added ones included
   * @param added the added tokens
   * @param normalizer what is done to text between them
   * @param preTokenizers the steps that split it into words
   * @param model what encodes a word
   * @param decoding how ids become text
   * @param prefix the tokens that begin a text
   */
  record Parts(
      Map<String, Integer> ids,
      Collection<AddedToken> added,
      UnaryOperator<String> normalizer,
      List<PreTokenizer> preTokenizers,
      BytePairModel model,
      TokenDecoding decoding,
      List<Integer> prefix) {}

  BytePairTokenizer(Parts parts) {
    ids = parts.ids();
    int size = 0;
    for (int id : ids.values()) {
      size = Math.max(size, id + 1);
    }
    texts = new @Nullable String[size];
    ids.forEach((text, id) -> texts[id] = text);
    for (AddedToken token : parts.added()) {
      if (token.special()) {
        texts[token.id()] = null;
        specialTexts.put(token.id(), token.content());
      }
    }
    addedTokens = new AddedTokens(parts.added(), parts.normalizer());
    preTokenizers = parts.preTokenizers();
    model = parts.model();
    decoding = parts.decoding();
    prefix = parts.prefix().stream().mapToInt(Integer::intValue).toArray();
  }

  @Override
  public int[] encode(String text, boolean addBos) {
    IdBuffer out = begin(addBos);
    encodeInto(out, text, false);
    return out.toArray();
  }

  @Override
  public int[] encodeAsReference(String text, boolean addBos) {
    IdBuffer out = begin(addBos);
    encodeInto(out, text, true);
    return out.toArray();
  }

  private IdBuffer begin(boolean addBos) {
    IdBuffer out = new IdBuffer();
    if (addBos) {
      for (int id : prefix) {
        out.add(id);
      }
    }
    return out;
  }

  @Override
  public int[] encodeWithSpecialTokens(String text) {
    IdBuffer out = new IdBuffer();
    encodeInto(out, text, true);
    return out.toArray();
  }

  private void encodeInto(IdBuffer out, String text, boolean special) {
    AddedTokens.Sections sections =
        new AddedTokens.Sections() {
          @Override
          public void text(String section, boolean atStart) {
            List<String> words = List.of(section);
            for (PreTokenizer step : preTokenizers) {
              words = step.split(words, atStart);
            }
            for (String word : words) {
              model.encode(word, out);
            }
          }

          @Override
          public void token(int id) {
            out.add(id);
          }
        };
    addedTokens.cut(UnicodeText.wellFormed(text), special, sections);
  }

  @Override
  public String decode(int[] ids) {
    return decode(ids, newDecoder());
  }

  @Override
  public String decodeAsReference(int[] ids) {
    return decode(
        ids, decoding.stream(id -> text(id, specialTexts), TokenDecoding.BrokenRun.AS_A_WHOLE));
  }

  private static String decode(int[] ids, StreamingDecoder decoder) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(decoder.next(id));
    }
    return text.append(decoder.finish()).toString();
  }

  @Override
  public StreamingDecoder newDecoder() {
    return decoding.stream(id -> text(id, Map.of()), TokenDecoding.BrokenRun.IN_PART);
  }

  private @Nullable String text(int id, Map<Integer, String> silent) {
    if (id < 0 || id >= texts.length) {
      throw new IllegalArgumentException(
          "token " + id + " is not in the vocabulary of " + texts.length);
    }
    String text = texts[id];
    return text == null ? silent.get(id) : text;
  }

  @Override
  public int vocabSize() {
    return texts.length;
  }

  @Override
  public OptionalInt id(String token) {
    Integer id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }
}
