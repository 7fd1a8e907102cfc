package dev.nibble.runtime.generate.jinja;

import java.util.List;

/** Goes through the tokens of an expression. */
class TokenReader {
  private final String source;
  private final List<Token> tokens;
  private int position;

  TokenReader(String source) {
    this.source = source;
    tokens = Lexer.tokens(source);
  }

  void end() {
    if (peek().kind() != Token.Kind.END) {
      throw unexpected("the end of the expression");
    }
  }

  boolean atEnd() {
    return peek().kind() == Token.Kind.END;
  }

  String name() {
    if (peek().kind() != Token.Kind.NAME) {
      throw unexpected("a name");
    }
    return next().text();
  }

  boolean takeOperator(String text) {
    boolean matches = peekOperator(text);
    position += matches ? 1 : 0;
    return matches;
  }

  boolean takeName(String text) {
    boolean matches = peekName(text);
    position += matches ? 1 : 0;
    return matches;
  }

  void expect(String operator) {
    if (!takeOperator(operator)) {
      throw unexpected("'" + operator + "'");
    }
  }

  void expectName(String text) {
    if (!takeName(text)) {
      throw unexpected("'" + text + "'");
    }
  }

  boolean peekOperator(String text) {
    return peek().is(Token.Kind.OPERATOR, text);
  }

  boolean peekName(String text) {
    return peek().is(Token.Kind.NAME, text);
  }

  Token peek() {
    return tokens.get(position);
  }

  Token peekSecond() {
    return tokens.get(position + 1);
  }

  Token next() {
    Token token = peek();
    if (token.kind() != Token.Kind.END) {
      position++;
    }
    return token;
  }

  /** Undoes the last {@link #next}. */
  void back(Token token) {
    position -= token.kind() == Token.Kind.END ? 0 : 1;
  }

  TemplateException unexpected(String expected) {
    return new TemplateException(
        "expected " + expected + ", found " + peek().text() + " in: " + source.strip());
  }
}
