package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.tokenizer.SentencePieceModel.Piece;
import dev.nibble.quantizer.tokenizer.SentencePieceModel.PieceType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/**
 * SentencePiece byte-pair encoding with byte fallback, as the sentencepiece library does it (Kudo
 * and Richardson 2018).
 *
 * <p>A symbol is a piece id, a character without a piece, or a user-defined piece, which is never
 * merged.
 */
final class SentencePieceTokenizer implements Tokenizer {
  static final char SPACE_SYMBOL = '\u2581';

  private static final int FIRST_UNKNOWN_CHARACTER = 1 << 21;
  private static final int FIRST_USER_DEFINED = 1 << 23;

  private final SentencePieceModel model;
  private final Map<String, Integer> ids;
  private final Map<Integer, AddedToken> tokensBeyondModel = new HashMap<>();
  private final int vocabSize;
  private final int[] prefix;
  private final MergeTable merges = new MergeTable(0);
  private final Map<Integer, Integer> symbols = new HashMap<>();
  private final PrefixMatcher userDefined;
  private final AddedTokens cutTokens;
  private final int[] bytePieces = new int[256];

  /** Creates a tokenizer of a model and of what its folder's configuration adds to it. */
  SentencePieceTokenizer(SentencePieceModel model, TokenizerConfig config)
      throws ModelFormatException {
    this.model = model;
    ids = new HashMap<>(model.ids());
    List<String> userDefinedTexts = new ArrayList<>();
    List<AddedToken> cut = new ArrayList<>();
    for (int id = 0; id < model.pieces().size(); id++) {
      String text = model.pieces().get(id).text();
      switch (model.pieces().get(id).type()) {
        case BYTE -> bytePieces[SentencePieceModel.byteOf(text)] = id;
        case CONTROL, UNKNOWN -> cut.add(AddedToken.control(id, text));
        case USER_DEFINED -> userDefinedTexts.add(text);
        case NORMAL, UNUSED -> {}
      }
      if (isOneCharacter(text) && id != model.unknown()) {
        symbols.put(text.codePointAt(0), id);
      }
    }
    vocabSize = addTokensBeyondModel(config);
    cut.addAll(tokensBeyondModel.values());
    userDefined = new PrefixMatcher(userDefinedTexts);
    cutTokens = new AddedTokens(cut, text -> text);
    prefix = config.prefix(bos(), ids).stream().mapToInt(Integer::intValue).toArray();
    addMerges();
  }

  /** Returns the size of the vocabulary with the configuration's tokens. */
  private int addTokensBeyondModel(TokenizerConfig config) throws ModelFormatException {
    int size = model.pieces().size();
    for (AddedToken token : config.addedTokens()) {
      Integer known = ids.putIfAbsent(token.content(), token.id());
      boolean clash =
          known == null
              ? token.id() < model.pieces().size()
                  || token.id() >= TokenizerLimits.MAX_TOKENS
                  || tokensBeyondModel.putIfAbsent(token.id(), token) != null
              : known != token.id();
      if (clash) {
        throw new ModelFormatException(
            config.file(),
            "added tokens",
            "\"" + token.content() + "\" cannot have the id " + token.id());
      }
      size = Math.max(size, token.id() + 1);
    }
    return size;
  }

  private List<Integer> bos() {
    Integer bos = model.ids().get(model.bos());
    return bos != null && model.pieces().get(bos).type() == PieceType.CONTROL
        ? List.of(bos)
        : List.of();
  }

  /** Two symbols merge if their texts, joined, are a piece; the piece of the best score first. */
  private void addMerges() {
    int[] priorities = priorities();
    for (int id = 0; id < priorities.length; id++) {
      String text = model.pieces().get(id).text();
      if (!isMergeable(model.pieces().get(id))) {
        continue;
      }
      int cut = text.offsetByCodePoints(0, 1);
      while (cut < text.length()) {
        int left = symbol(text.substring(0, cut));
        int right = symbol(text.substring(cut));
        if (left >= 0 && right >= 0) {
          merges.put(left, right, priorities[id], id);
        }
        cut = text.offsetByCodePoints(cut, 1);
      }
    }
  }

  /** The rank of each piece's score, 0 for the highest; equal scores share a rank. */
  private int[] priorities() {
    List<Piece> pieces = model.pieces();
    double[] scores = pieces.stream().mapToDouble(piece -> -piece.score()).sorted().toArray();
    Map<Float, Integer> ranks = new HashMap<>();
    for (double score : scores) {
      ranks.putIfAbsent((float) score + 0f, ranks.size());
    }
    return pieces.stream().mapToInt(piece -> ranks.get(-piece.score() + 0f)).toArray();
  }

  /** The symbol of a text, or -1 if merging never makes one of it. */
  private int symbol(String text) {
    if (isOneCharacter(text)) {
      return symbol(text.codePointAt(0));
    }
    Integer id = model.ids().get(text);
    return id != null && isMergeable(model.pieces().get(id)) ? id : -1;
  }

  private int symbol(int character) {
    return symbols.getOrDefault(character, FIRST_UNKNOWN_CHARACTER + character);
  }

  private static boolean isMergeable(Piece piece) {
    return piece.type() == PieceType.NORMAL || piece.type() == PieceType.USER_DEFINED;
  }

  private static boolean isOneCharacter(String text) {
    return text.length() == Character.charCount(text.codePointAt(0));
  }

  @Override
  public int[] encode(String text, boolean addBos) {
    IdBuffer out = new IdBuffer();
    if (addBos) {
      for (int id : prefix) {
        out.add(id);
      }
    }
    encodeInto(out, text, false);
    return out.toArray();
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
            encodeInto(out, section);
          }

          @Override
          public void token(int id) {
            out.add(id);
          }
        };
    cutTokens.cut(UnicodeText.wellFormed(text), special, sections);
  }

  private void encodeInto(IdBuffer ids, String text) {
    String normalized = normalize(text);
    int[] sequence = new int[normalized.length()];
    int count = 0;
    int i = 0;
    while (i < normalized.length()) {
      int length = userDefined.longestAt(normalized, i);
      if (length > 0) {
        Integer id = model.ids().get(normalized.substring(i, i + length));
        sequence[count++] = FIRST_USER_DEFINED + (id == null ? model.unknown() : id);
        i += length;
      } else {
        int character = normalized.codePointAt(i);
        sequence[count++] = symbol(character);
        i += Character.charCount(character);
      }
    }
    emit(ids, sequence, merges.apply(sequence, count));
  }

  private void emit(IdBuffer ids, int[] sequence, int count) {
    boolean afterUnknown = false;
    for (int i = 0; i < count; i++) {
      int symbol = sequence[i];
      boolean unknown = false;
      if (symbol >= FIRST_USER_DEFINED) {
        ids.add(symbol - FIRST_USER_DEFINED);
      } else if (symbol < FIRST_UNKNOWN_CHARACTER) {
        ids.add(symbol);
      } else if (model.byteFallback()) {
        String character = Character.toString(symbol - FIRST_UNKNOWN_CHARACTER);
        for (byte b : character.getBytes(UTF_8)) {
          ids.add(bytePieces[b & 0xFF]);
        }
      } else {
        unknown = true;
        if (!afterUnknown) {
          ids.add(model.unknown());
        }
      }
      afterUnknown = unknown;
    }
  }

  /** Normalizer::Normalize of sentencepiece, for a model that keeps characters as they are. */
  private String normalize(String text) {
    SentencePieceModel.Normalizer rules = model.normalizer();
    boolean remove = rules.removeExtraWhitespaces();
    int i = 0;
    while (remove
        && i < text.length()
        && text.charAt(i) == ' '
        && userDefined.longestAt(text, i) == 0) {
      i++;
    }
    if (i == text.length()) {
      return "";
    }
    char space = rules.escapeWhitespaces() ? SPACE_SYMBOL : ' ';
    StringBuilder normalized = new StringBuilder(text.length() + 1);
    if (rules.addDummyPrefix()) {
      normalized.append(space);
    }
    boolean afterSpace = remove;
    while (i < text.length()) {
      int end = i + Math.max(1, userDefined.longestAt(text, i));
      while (afterSpace && i < end && text.charAt(i) == ' ') {
        i++;
      }
      if (i < end) {
        normalized.append(text.substring(i, end).replace(' ', space));
        afterSpace = remove && text.charAt(end - 1) == ' ';
      }
      i = end;
    }
    int length = normalized.length();
    while (remove && length > 0 && normalized.charAt(length - 1) == space) {
      length--;
    }
    return normalized.substring(0, length);
  }

  @Override
  public String decode(int[] ids) {
    Decoder decoder = new Decoder();
    for (int id : ids) {
      decoder.append(id);
    }
    return decoder.finish();
  }

  @Override
  public int[] encodeAsReference(String text, boolean addBos) {
    return encode(text, addBos);
  }

  @Override
  public String decodeAsReference(int[] ids) {
    return decode(ids);
  }

  @Override
  public StreamingDecoder newDecoder() {
    return new Decoder();
  }

  @Override
  public int vocabSize() {
    return vocabSize;
  }

  @Override
  public OptionalInt id(String token) {
    Integer id = ids.get(token);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /** SentencePieceProcessor::Decode of sentencepiece, piece by piece. */
  private final class Decoder implements StreamingDecoder {
    private final StringBuilder out = new StringBuilder();
    private final Utf8Assembler bytes = new Utf8Assembler(Utf8Assembler.Replacement.EACH_BYTE);
    private boolean empty = true;
    private boolean leadingSpaceTaken;
    private boolean atStart = true;

    @Override
    public String next(int id) {
      append(id);
      return take();
    }

    @Override
    public String finish() {
      bytes.flush(out);
      return take();
    }

    private String take() {
      String text = out.toString();
      empty &= text.isEmpty();
      out.setLength(0);
      return text;
    }

    void append(int id) {
      if (id < 0 || id >= vocabSize) {
        throw new IllegalArgumentException(
            "token " + id + " is not in the vocabulary of " + vocabSize);
      }
      if (id >= model.pieces().size()) {
        appendBeyondModel(id);
        return;
      }
      Piece piece = model.pieces().get(id);
      if (piece.type() == PieceType.BYTE) {
        bytes.append((byte) SentencePieceModel.byteOf(piece.text()), out);
        return;
      }
      bytes.flush(out);
      atStart &= empty && out.isEmpty() && !leadingSpaceTaken;
      leadingSpaceTaken = false;
      switch (piece.type()) {
        case CONTROL, BYTE -> {}
        case UNKNOWN -> out.append(model.unknownSurface());
        case NORMAL, USER_DEFINED, UNUSED -> appendText(piece.text());
      }
    }

    private void appendBeyondModel(int id) {
      AddedToken token = tokensBeyondModel.get(id);
      if (token != null && !token.special()) {
        bytes.flush(out);
        out.append(token.content());
      }
    }

    private void appendText(String text) {
      SentencePieceModel.Normalizer rules = model.normalizer();
      int from = 0;
      if (atStart
          && (rules.addDummyPrefix() || rules.removeExtraWhitespaces())
          && text.charAt(0) == SPACE_SYMBOL) {
        from = 1;
        leadingSpaceTaken = !rules.removeExtraWhitespaces();
      }
      out.append(text.substring(from).replace(SPACE_SYMBOL, ' '));
    }
  }
}
