package dev.nibble.quantizer.tokenizer;

import java.util.ArrayList;
import java.util.List;

/** A step that splits text into the words that are encoded apart. */
sealed interface PreTokenizer {
  /**
   * Splits words further.
   *
   * @param words in the order of the text; none is empty
   * @param atStart whether the first begins where the whole text does
   */
  List<String> split(List<String> words, boolean atStart);

  /** Splits by a known expression, every match a word. */
  record Pattern(WordPattern pattern) implements PreTokenizer {
    @Override
    public List<String> split(List<String> words, boolean atStart) {
      List<String> out = new ArrayList<>();
      for (String word : words) {
        int start = 0;
        while (start < word.length()) {
          int end = pattern.end(word, start);
          out.add(word.substring(start, end));
          start = end;
        }
      }
      return out;
    }
  }

  /** Spells words in the characters of bytes. */
  record ByteLevel() implements PreTokenizer {
    @Override
    public List<String> split(List<String> words, boolean atStart) {
      return words.stream().map(ByteLevelAlphabet::spell).toList();
    }
  }

  /** Puts a space before words that have none. */
  record PrefixSpace() implements PreTokenizer {
    @Override
    public List<String> split(List<String> words, boolean atStart) {
      return words.stream().map(word -> word.charAt(0) == ' ' ? word : ' ' + word).toList();
    }
  }

  /** Writes spaces as U+2581, as SentencePiece does. */
  record Metaspace(char symbol, Prepend prepend, boolean split) implements PreTokenizer {
    /** Which texts get a symbol in front if they do not begin with one. */
    enum Prepend {
      ALWAYS,
      FIRST,
      NEVER
    }

    @Override
    public List<String> split(List<String> words, boolean atStart) {
      List<String> out = new ArrayList<>();
      boolean first = atStart;
      for (String word : words) {
        String text = word.replace(' ', symbol);
        boolean prefix =
            switch (prepend) {
              case ALWAYS -> true;
              case FIRST -> first;
              case NEVER -> false;
            };
        if (prefix && text.charAt(0) != symbol) {
          text = symbol + text;
        }
        addParts(text, out);
        first = false;
      }
      return out;
    }

    private void addParts(String text, List<String> out) {
      int start = 0;
      if (split) {
        for (int i = 1; i < text.length(); i++) {
          if (text.charAt(i) == symbol) {
            out.add(text.substring(start, i));
            start = i;
          }
        }
      }
      out.add(text.substring(start));
    }
  }
}
