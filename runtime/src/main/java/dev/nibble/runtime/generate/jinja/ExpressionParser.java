package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Parses expressions with the grammar and the precedences of jinja2's parser. */
final class ExpressionParser extends TokenReader {
  private static final int MAX_DEPTH = 60;
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> AFTER_TEST =
      Set.of("else", "or", "and", "if", "is", "in", "not");

  private int depth;

  ExpressionParser(String source) {
    super(source);
  }

  /** Parses a whole text as one expression, or as a tuple without parentheses. */
  static Expression parse(String source) {
    ExpressionParser parser = new ExpressionParser(source);
    Expression expression = parser.tuple();
    parser.end();
    return expression;
  }

  /** One expression, or several with commas between them. */
  Expression tuple() {
    Expression first = expression();
    if (!peekOperator(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>();
    items.add(first);
    while (takeOperator(",")) {
      if (atEnd() || peekOperator(")") || peekOperator("]")) {
        break;
      }
      items.add(expression());
    }
    return new Expression.ListOf(items, true);
  }

  /** The ternary, the loosest of all. */
  Expression expression() {
    deeper();
    Expression value = or();
    while (takeName("if")) {
      Expression condition = or();
      Expression otherwise = takeName("else") ? expression() : null;
      value = new Expression.Choice(condition, value, otherwise);
    }
    depth--;
    return value;
  }

  /** What a loop goes through: it ends before an {@code if}. */
  Expression listOfLoop() {
    Expression first = or();
    if (!peekOperator(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>();
    items.add(first);
    while (takeOperator(",")) {
      items.add(or());
    }
    return new Expression.ListOf(items, true);
  }

  /** A filter's name and arguments, without the bar. */
  Statement.FilterCall filterCall() {
    String name = dottedName();
    return new Statement.FilterCall(name, peekOperator("(") ? callArguments() : CallArguments.NONE);
  }

  boolean startsParentheses() {
    return peekOperator("(");
  }

  private Expression or() {
    Expression left = and();
    while (takeName("or")) {
      left = new Expression.Logic(left, and(), false);
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (takeName("and")) {
      left = new Expression.Logic(left, not(), true);
    }
    return left;
  }

  private Expression not() {
    if (!takeName("not")) {
      return comparison();
    }
    deeper();
    Expression operand = not();
    depth--;
    return new Expression.Not(operand);
  }

  private Expression comparison() {
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> operands = new ArrayList<>();
    while (true) {
      if (peek().kind() == Token.Kind.OPERATOR && COMPARISONS.contains(peek().text())) {
        operators.add(next().text());
      } else if (takeName("in")) {
        operators.add("in");
      } else if (peekName("not") && peekSecond().is(Token.Kind.NAME, "in")) {
        expectName("not");
        expectName("in");
        operators.add("not in");
      } else {
        break;
      }
      operands.add(sum());
    }
    return operators.isEmpty() ? first : new Expression.Comparison(first, operators, operands);
  }

  private Expression sum() {
    Expression left = concatenation();
    while (peekOperator("+") || peekOperator("-")) {
      left = new Expression.Arithmetic(next().text(), left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    Expression first = product();
    if (!peekOperator("~")) {
      return first;
    }
    List<Expression> parts = new ArrayList<>();
    parts.add(first);
    while (takeOperator("~")) {
      parts.add(product());
    }
    return new Expression.Concatenation(parts);
  }

  private Expression product() {
    Expression left = power();
    while (peekOperator("*") || peekOperator("/") || peekOperator("//") || peekOperator("%")) {
      left = new Expression.Arithmetic(next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (takeOperator("**")) {
      left = new Expression.Arithmetic("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    Expression node;
    if (peekOperator("-") || peekOperator("+")) {
      deeper();
      String sign = next().text();
      node = new Expression.Sign(sign, unary(false));
      depth--;
    } else {
      node = primary();
    }
    node = postfix(node);
    return withFilters ? filters(node) : node;
  }

  private Expression primary() {
    Token token = next();
    switch (token.kind()) {
      case NAME -> {
        return switch (token.text()) {
          case "true", "True" -> new Expression.Constant(true);
          case "false", "False" -> new Expression.Constant(false);
          case "none", "None" -> new Expression.Constant(null);
          default -> new Expression.Name(token.text());
        };
      }
      case STRING -> {
        StringBuilder text = new StringBuilder(token.text());
        while (peek().kind() == Token.Kind.STRING) {
          text.append(next().text());
        }
        return new Expression.Constant(text.toString());
      }
      case NUMBER -> {
        return new Expression.Constant(token.number());
      }
      case OPERATOR -> {
        switch (token.text()) {
          case "(" -> {
            return parentheses();
          }
          case "[" -> {
            return new Expression.ListOf(expressions("]"), false);
          }
          case "{" -> {
            return map();
          }
          default -> {}
        }
      }
      case END -> {}
    }
    back(token);
    throw unexpected("a value");
  }

  private Expression parentheses() {
    if (takeOperator(")")) {
      return new Expression.ListOf(List.of(), true);
    }
    Expression inner = tuple();
    expect(")");
    return inner;
  }

  private List<Expression> expressions(String close) {
    List<Expression> items = new ArrayList<>();
    while (!takeOperator(close)) {
      items.add(expression());
      if (!peekOperator(close)) {
        expect(",");
      }
    }
    return items;
  }

  private Expression map() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!takeOperator("}")) {
      keys.add(expression());
      expect(":");
      values.add(expression());
      if (!peekOperator("}")) {
        expect(",");
      }
    }
    return new Expression.MapOf(keys, values);
  }

  private Expression postfix(Expression start) {
    Expression node = start;
    while (true) {
      if (takeOperator(".")) {
        Token name = next();
        node =
            switch (name.kind()) {
              case NAME -> new Expression.Attribute(node, name.text());
              case NUMBER -> new Expression.Item(node, new Expression.Constant(name.number()));
              default -> throw unexpected("a name");
            };
      } else if (takeOperator("[")) {
        node = subscript(node);
      } else if (peekOperator("(")) {
        node = new Expression.Call(node, callArguments());
      } else {
        return node;
      }
    }
  }

  private Expression subscript(Expression owner) {
    Expression start = peekOperator(":") ? null : tuple();
    if (!peekOperator(":")) {
      expect("]");
      if (start == null) {
        throw unexpected("an index");
      }
      return new Expression.Item(owner, start);
    }
    expect(":");
    Expression stop = peekOperator(":") || peekOperator("]") ? null : expression();
    Expression step = takeOperator(":") && !peekOperator("]") ? expression() : null;
    expect("]");
    return new Expression.Slice(owner, start, stop, step);
  }

  /** Filters, tests, and calls of what they give. */
  private Expression filters(Expression start) {
    Expression node = start;
    while (true) {
      if (takeOperator("|")) {
        String name = dottedName();
        node =
            new Expression.Filter(
                node, name, peekOperator("(") ? callArguments() : CallArguments.NONE);
      } else if (takeName("is")) {
        node = test(node);
      } else if (peekOperator("(")) {
        node = new Expression.Call(node, callArguments());
      } else {
        return node;
      }
    }
  }

  private Expression test(Expression value) {
    boolean negated = takeName("not");
    String name = dottedName();
    CallArguments arguments = CallArguments.NONE;
    if (peekOperator("(")) {
      arguments = callArguments();
    } else if (startsArgument(peek())) {
      arguments = new CallArguments(List.of(postfix(primary())), Map.of());
    }
    Expression test = new Expression.Test(value, name, arguments);
    return negated ? new Expression.Not(test) : test;
  }

  private static boolean startsArgument(Token token) {
    return switch (token.kind()) {
      case NAME -> !AFTER_TEST.contains(token.text());
      case STRING, NUMBER -> true;
      case OPERATOR -> token.text().equals("[") || token.text().equals("{");
      case END -> false;
    };
  }

  private String dottedName() {
    StringBuilder name = new StringBuilder(name());
    while (takeOperator(".")) {
      name.append('.').append(name());
    }
    return name.toString();
  }

  private CallArguments callArguments() {
    expect("(");
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    while (!takeOperator(")")) {
      if (peek().kind() == Token.Kind.NAME && peekSecond().is(Token.Kind.OPERATOR, "=")) {
        String name = name();
        expect("=");
        named.put(name, expression());
      } else if (named.isEmpty()) {
        positional.add(expression());
      } else {
        throw unexpected("a named argument");
      }
      if (!peekOperator(")")) {
        expect(",");
      }
    }
    return new CallArguments(positional, named);
  }

  private void deeper() {
    if (++depth > MAX_DEPTH) {
      throw new TemplateException("an expression nested more than " + MAX_DEPTH + " deep");
    }
  }
}
