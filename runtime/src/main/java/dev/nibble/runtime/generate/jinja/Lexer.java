package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Cuts an expression into tokens. */
final class Lexer {
  private static final List<String> OPERATORS =
      List.of(
          "**", "//", "==", "!=", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "~", "|", "(",
          ")", "[", "]", "{", "}", ",", ":", ".");

  /** Bounds the depth of trees that lean to one side. */
  private static final int MAX_TOKENS = 2000;

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String source) {
    return new Lexer(source).read();
  }

  private List<Token> read() {
    while (position < source.length()) {
      char c = source.charAt(position);
      if (Character.isWhitespace(c)) {
        position++;
      } else if (c == '\'' || c == '"') {
        add(Token.Kind.STRING, string(c));
      } else if (isDigit(c)) {
        number();
      } else if (Character.isUnicodeIdentifierStart(c) || c == '_') {
        int start = position;
        while (position < source.length() && isNamePart(source.charAt(position))) {
          position++;
        }
        add(Token.Kind.NAME, source.substring(start, position));
      } else {
        Optional<String> operator =
            OPERATORS.stream().filter(o -> source.startsWith(o, position)).findFirst();
        if (operator.isEmpty()) {
          throw new TemplateException("unexpected char '" + c + "' in: " + source);
        }
        position += operator.get().length();
        add(Token.Kind.OPERATOR, operator.get());
      }
    }
    add(Token.Kind.END, "end of the expression");
    return tokens;
  }

  private void add(Token.Kind kind, String text) {
    add(new Token(kind, text, null));
  }

  private void add(Token token) {
    if (tokens.size() == MAX_TOKENS) {
      throw new TemplateException("an expression of more than " + MAX_TOKENS + " tokens");
    }
    tokens.add(token);
  }

  private static boolean isNamePart(char c) {
    return Character.isUnicodeIdentifierPart(c) && !Character.isIdentifierIgnorable(c);
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private void number() {
    int start = position;
    digits();
    boolean real = false;
    if (position + 1 < source.length()
        && source.charAt(position) == '.'
        && isDigit(source.charAt(position + 1))) {
      real = true;
      position++;
      digits();
    }
    if (position < source.length() && (source.charAt(position) | 0x20) == 'e') {
      int exponent = position + 1;
      if (exponent < source.length() && "+-".indexOf(source.charAt(exponent)) >= 0) {
        exponent++;
      }
      if (exponent < source.length() && isDigit(source.charAt(exponent))) {
        real = true;
        position = exponent;
        digits();
      }
    }
    String text = source.substring(start, position).replace("_", "");
    try {
      Object value = real ? (Object) Double.valueOf(text) : (Object) Long.valueOf(text);
      add(new Token(Token.Kind.NUMBER, text, value));
    } catch (NumberFormatException e) {
      throw new TemplateException("the integer " + text + " is too large");
    }
  }

  private void digits() {
    while (position < source.length()
        && (isDigit(source.charAt(position)) || source.charAt(position) == '_')) {
      position++;
    }
  }

  private String string(char quote) {
    StringBuilder text = new StringBuilder();
    position++;
    while (position < source.length()) {
      char c = source.charAt(position++);
      if (c == quote) {
        return text.toString();
      }
      if (c == '\\' && position < source.length()) {
        escape(source.charAt(position++), text);
      } else {
        text.append(c);
      }
    }
    throw new TemplateException("a string without its end: " + source);
  }

  /** Python's escapes; an unknown one stands for itself. */
  private void escape(char c, StringBuilder text) {
    switch (c) {
      case 'n' -> text.append('\n');
      case 't' -> text.append('\t');
      case 'r' -> text.append('\r');
      case 'b' -> text.append('\b');
      case 'f' -> text.append('\f');
      case 'a' -> text.append('\u0007');
      case 'v' -> text.append('\u000B');
      case '\\', '\'', '"' -> text.append(c);
      case '\n' -> {}
      case 'x' -> codePoint(2, text);
      case 'u' -> codePoint(4, text);
      case 'U' -> codePoint(8, text);
      case '0', '1', '2', '3', '4', '5', '6', '7' -> octal(text);
      default -> text.append('\\').append(c);
    }
  }

  private void codePoint(int digits, StringBuilder text) {
    int end = position + digits;
    try {
      int value = Integer.parseUnsignedInt(source.substring(position, end), 16);
      if (!Character.isValidCodePoint(value)) {
        throw new TemplateException("an escape that is no character: " + source);
      }
      text.appendCodePoint(value);
    } catch (NumberFormatException | IndexOutOfBoundsException e) {
      throw new TemplateException("an escape without its " + digits + " digits: " + source);
    }
    position = end;
  }

  private void octal(StringBuilder text) {
    int value = 0;
    int start = position - 1;
    position = start;
    while (position < source.length()
        && position < start + 3
        && source.charAt(position) >= '0'
        && source.charAt(position) <= '7') {
      value = value * 8 + source.charAt(position++) - '0';
    }
    text.append((char) value);
  }
}
