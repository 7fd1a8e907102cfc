package dev.nibble.runtime.generate.jinja;

import org.jspecify.annotations.Nullable;

/**
 * A piece of an expression.
 *
 * @param kind what it is
 * @param text as written; of a string, its content
 * @param number of a number, its value
 */
record Token(Kind kind, String text, @Nullable Object number) {
  /** The kinds of tokens. */
  enum Kind {
    NAME,
    STRING,
    NUMBER,
    OPERATOR,
    END
  }

  boolean is(Kind wanted, String wantedText) {
    return kind == wanted && text.equals(wantedText);
  }
}
