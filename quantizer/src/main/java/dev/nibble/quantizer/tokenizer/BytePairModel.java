package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.Arrays;
import java.util.Map;

/**
 * Byte-pair encoding of one word (Sennrich et al. 2016), as the BPE model of the tokenizers library
 * does it.
 */
final class BytePairModel {
  /** In place of an id: there is none. */
  static final int NONE = -1;

  private static final int DIRECT_CHARACTERS = 0x3000;

  private final Map<String, Integer> ids;
  private final MergeTable merges;
  private final Rules rules;
  private final int[] characters = new int[DIRECT_CHARACTERS];
  private final int[] byteTokens = new int[256];

  /**
   * What is done beside merging.
   *
   * @param ignoreMerges whether a word that is a token is that token
   * @param byteFallback whether a character without a token is spelled in byte tokens
   * @param unknown the token of characters that have none, or {@link #NONE}: they are left out
   * @param fuseUnknown whether neighbouring unknown characters become one token
   */
  record Rules(boolean ignoreMerges, boolean byteFallback, int unknown, boolean fuseUnknown) {}

  /** A model; with byte fallback all 256 byte tokens are among the ids. */
  BytePairModel(Map<String, Integer> ids, MergeTable merges, Rules rules) {
    this.ids = ids;
    this.merges = merges;
    this.rules = rules;
    Arrays.fill(characters, NONE);
    ids.forEach((token, id) -> {
      if (token.length() == 1 && token.charAt(0) < DIRECT_CHARACTERS) {
        characters[token.charAt(0)] = id;
      }
      int value = SentencePieceModel.byteOf(token);
      if (value >= 0) {
        byteTokens[value] = id;
      }
    });
  }

  /** Appends the tokens of a word, which is not empty. */
  void encode(String word, IdBuffer out) {
    if (rules.ignoreMerges()) {
      Integer whole = ids.get(word);
      if (whole != null) {
        out.add(whole);
        return;
      }
    }
    int[] symbols = new int[rules.byteFallback() ? 3 * word.length() : word.length()];
    int count = 0;
    boolean afterUnknown = false;
    int i = 0;
    while (i < word.length()) {
      int character = word.codePointAt(i);
      i += Character.charCount(character);
      int id = characterId(character);
      if (id != NONE) {
        symbols[count++] = id;
      } else if (rules.byteFallback()) {
        for (byte b : Character.toString(character).getBytes(UTF_8)) {
          symbols[count++] = byteTokens[b & 0xFF];
        }
      } else if (rules.unknown() != NONE && !(rules.fuseUnknown() && afterUnknown)) {
        symbols[count++] = rules.unknown();
      }
      afterUnknown = id == NONE;
    }
    int kept = merges.apply(symbols, count);
    for (int s = 0; s < kept; s++) {
      out.add(symbols[s]);
    }
  }

  private int characterId(int character) {
    if (character < DIRECT_CHARACTERS) {
      return characters[character];
    }
    Integer id = ids.get(Character.toString(character));
    return id == null ? NONE : id;
  }
}
