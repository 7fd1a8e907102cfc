package dev.nibble.quantizer.tokenizer;

import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Cuts text at added tokens, as the tokenizers library does: first at those found in the text as
 * given, then, after normalization, at the others; the leftmost longest match counts.
 */
final class AddedTokens {
  private final Map<String, AddedToken> given = new HashMap<>();
  private final Map<String, AddedToken> normalized = new HashMap<>();
  private final PrefixMatcher givenMatcher;
  private final PrefixMatcher normalizedMatcher;
  private final UnaryOperator<String> normalizer;

  /** Receives what text was cut into, in order. */
  interface Sections {
    /**
     * Takes normalized text, which is not empty.
     *
     * @param atStart whether it begins where the whole text does
     */
    void text(String section, boolean atStart);

    void token(int id);
  }

  AddedTokens(Collection<AddedToken> tokens, UnaryOperator<String> normalizer) {
    this.normalizer = normalizer;
    for (AddedToken token : tokens) {
      if (token.normalized()) {
        normalized.put(normalizer.apply(token.content()), token);
      } else {
        given.put(token.content(), token);
      }
    }
    normalized.remove("");
    givenMatcher = new PrefixMatcher(given.keySet());
    normalizedMatcher = new PrefixMatcher(normalized.keySet());
  }

  /**
   * Cuts a text.
   *
   * @param special whether special tokens are cut out too, or left as text
   */
  void cut(String text, boolean special, Sections sections) {
    Sections inner =
        new Sections() {
          @Override
          public void text(String section, boolean atStart) {
            cut(
                normalizer.apply(section),
                atStart,
                special,
                normalized,
                normalizedMatcher,
                sections);
          }

          @Override
          public void token(int id) {
            sections.token(id);
          }
        };
    cut(text, true, special, given, givenMatcher, inner);
  }

  private static void cut(
      String text,
      boolean atStart,
      boolean special,
      Map<String, AddedToken> tokens,
      PrefixMatcher matcher,
      Sections sections) {
    int done = 0;
    int i = 0;
    while (i < text.length()) {
      int length = matcher.longestAt(text, i);
      if (length == 0) {
        i++;
        continue;
      }
      int end = i + length;
      AddedToken token = tokens.get(text.substring(i, end));
      if (token != null && applies(token, special, text, i, end)) {
        int start = token.stripLeft() ? Math.max(spacesBefore(text, i), done) : i;
        if (done < start) {
          sections.text(text.substring(done, start), atStart && done == 0);
        }
        sections.token(token.id());
        done = token.stripRight() ? spacesAfter(text, end) : end;
      }
      i = end;
    }
    if (done < text.length()) {
      sections.text(text.substring(done), atStart && done == 0);
    }
  }

  private static boolean applies(
      AddedToken token, boolean special, String text, int start, int end) {
    if (token.special() && !special) {
      return false;
    }
    return !token.singleWord()
        || ((start == 0 || !UnicodeText.isWordPart(text.codePointBefore(start)))
            && (end == text.length() || !UnicodeText.isWordPart(text.codePointAt(end))));
  }

  private static int spacesBefore(String text, int from) {
    int i = from;
    while (i > 0 && UnicodeText.isWhiteSpace(text.charAt(i - 1))) {
      i--;
    }
    return i;
  }

  private static int spacesAfter(String text, int from) {
    int i = from;
    while (i < text.length() && UnicodeText.isWhiteSpace(text.charAt(i))) {
      i++;
    }
    return i;
  }
}
