package dev.nibble.runtime.generate.jinja;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.interpret.Context;
import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.tree.ExpressionNode;
import com.hubspot.jinjava.tree.Node;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.tree.TextNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Turns a template's source into statements. Tags that reach other files are not among them. */
final class TemplateCompiler {
  private static final int MAX_DEPTH = 100;
  private static final List<String> TAGS_WITH_BODY =
      List.of("for", "if", "set", "macro", "call", "filter", "with", "generation");
  private static final List<String> TAGS_WITHOUT_BODY =
      List.of("else", "elif", "break", "continue", "do");

  private TemplateCompiler() {}

  static List<Statement> compile(String source) {
    JinjavaInterpreter interpreter = interpreter();
    Node root = interpreter.parse(TemplateSource.rewrite(source));
    if (!interpreter.getErrors().isEmpty()) {
      throw new TemplateException(interpreter.getErrors().getFirst().getMessage());
    }
    return statements(root.getChildren(), 0, false);
  }

  private static JinjavaInterpreter interpreter() {
    JinjavaConfig config = JinjavaConfig.newBuilder().build();
    Jinjava jinjava = new Jinjava(config);
    Context context = new Context(jinjava.getGlobalContext());
    TAGS_WITH_BODY.forEach(name -> context.registerTag(new BlockTag(name, true)));
    TAGS_WITHOUT_BODY.forEach(name -> context.registerTag(new BlockTag(name, false)));
    return new JinjavaInterpreter(jinjava, context, config);
  }

  private static List<Statement> statements(
      Iterable<? extends Node> nodes, int depth, boolean inLoop) {
    if (depth > MAX_DEPTH) {
      throw new TemplateException("tags nested more than " + MAX_DEPTH + " deep");
    }
    List<Statement> statements = new ArrayList<>();
    for (Node node : nodes) {
      statements.add(
          switch (node) {
            case TextNode text -> new Statement.Text(text.getMaster().getImage());
            case ExpressionNode expression ->
                new Statement.Print(ExpressionParser.parse(inside(expression)));
            case TagNode tag -> statement(tag, depth, inLoop);
            default -> throw new TemplateException("unexpected " + node.getName());
          });
    }
    return List.copyOf(statements);
  }

  /** What is between the braces; jinjava's own answer lacks a leading minus sign. */
  private static String inside(ExpressionNode expression) {
    String image = expression.getMaster().getImage();
    return image.substring(2, image.length() - 2);
  }

  private static Statement statement(TagNode tag, int depth, boolean inLoop) {
    if (!(tag.getTag() instanceof BlockTag)) {
      throw new TemplateException("Encountered unknown tag '" + tag.getName() + "'.");
    }
    ExpressionParser header = new ExpressionParser(tag.getHelpers());
    return switch (tag.getName()) {
      case "if" -> conditional(tag, depth, inLoop);
      case "for" -> loop(tag, header, depth, inLoop);
      case "set" -> assignment(tag, header, depth);
      case "macro" -> macro(tag, header, depth);
      case "call" -> call(tag, header, depth);
      case "filter" -> {
        List<Statement.FilterCall> filters = filters(header);
        yield new Statement.FilterBlock(filters, body(tag, depth, false));
      }
      case "with" -> with(tag, header, depth, inLoop);
      case "generation" -> new Statement.Block(body(tag, depth, inLoop));
      case "break", "continue" -> {
        header.end();
        if (!inLoop) {
          throw new TemplateException("'" + tag.getName() + "' outside of a loop");
        }
        yield new Statement.Jump(
            tag.getName().equals("break") ? Statement.Flow.BREAK : Statement.Flow.CONTINUE);
      }
      case "do" -> {
        Expression expression = header.tuple();
        header.end();
        yield new Statement.Do(expression);
      }
      default -> throw new TemplateException("Encountered unknown tag '" + tag.getName() + "'.");
    };
  }

  private static List<Statement> body(TagNode tag, int depth, boolean inLoop) {
    return statements(tag.getChildren(), depth + 1, inLoop);
  }

  /** The children of a tag, cut at its {@code elif} and {@code else}. */
  private static Map<TagNode, List<Node>> parts(TagNode tag) {
    Map<TagNode, List<Node>> parts = new LinkedHashMap<>();
    List<Node> part = new ArrayList<>();
    parts.put(tag, part);
    for (Node child : tag.getChildren()) {
      if (child instanceof TagNode next
          && (next.getName().equals("else") || next.getName().equals("elif"))) {
        part = new ArrayList<>();
        parts.put(next, part);
      } else {
        part.add(child);
      }
    }
    return parts;
  }

  private static Statement conditional(TagNode tag, int depth, boolean inLoop) {
    List<Statement.If.Branch> branches = new ArrayList<>();
    boolean closed = false;
    for (Map.Entry<TagNode, List<Node>> part : parts(tag).entrySet()) {
      if (closed) {
        throw new TemplateException("Encountered unknown tag '" + part.getKey().getName() + "'.");
      }
      closed = part.getKey().getName().equals("else");
      Expression condition =
          closed
              ? new Expression.Constant(true)
              : ExpressionParser.parse(part.getKey().getHelpers());
      branches.add(
          new Statement.If.Branch(condition, statements(part.getValue(), depth + 1, inLoop)));
    }
    return new Statement.If(branches);
  }

  private static Statement loop(TagNode tag, ExpressionParser header, int depth, boolean inLoop) {
    List<String> targets = targets(header);
    header.expectName("in");
    Expression items = header.listOfLoop();
    Expression condition = header.takeName("if") ? header.expression() : null;
    header.takeName("recursive");
    header.end();
    List<List<Statement>> bodies = new ArrayList<>();
    for (Map.Entry<TagNode, List<Node>> part : parts(tag).entrySet()) {
      boolean first = bodies.isEmpty();
      if (!first && (bodies.size() > 1 || part.getKey().getName().equals("elif"))) {
        throw new TemplateException("Encountered unknown tag '" + part.getKey().getName() + "'.");
      }
      bodies.add(statements(part.getValue(), depth + 1, first || inLoop));
    }
    List<Statement> otherwise = bodies.size() > 1 ? bodies.getLast() : List.of();
    return new Statement.For(targets, items, condition, bodies.getFirst(), otherwise);
  }

  /** Names with commas between them, in parentheses or not. */
  private static List<String> targets(ExpressionParser header) {
    boolean parentheses = header.takeOperator("(");
    List<String> targets = new ArrayList<>();
    do {
      String name = header.name();
      targets.add(header.takeOperator(".") ? name + "." + header.name() : name);
    } while (header.takeOperator(","));
    if (parentheses) {
      header.expect(")");
    }
    return List.copyOf(targets);
  }

  /** Whether what follows {@code set} has an equals sign outside of brackets and strings. */
  static boolean isAssignment(String helpers) {
    int depth = 0;
    List<Token> tokens;
    try {
      tokens = Lexer.tokens(helpers);
    } catch (TemplateException e) {
      return true; // the error is told when the tag is compiled
    }
    for (Token token : tokens) {
      if (token.kind() == Token.Kind.OPERATOR) {
        switch (token.text()) {
          case "(", "[", "{" -> depth++;
          case ")", "]", "}" -> depth--;
          case "=" -> {
            if (depth == 0) {
              return true;
            }
          }
          default -> {}
        }
      }
    }
    return false;
  }

  private static Statement assignment(TagNode tag, ExpressionParser header, int depth) {
    List<String> targets = targets(header);
    if (header.takeOperator("=")) {
      Expression value = header.tuple();
      header.end();
      return new Statement.Assign(targets, value);
    }
    List<Statement.FilterCall> filters = header.takeOperator("|") ? filters(header) : List.of();
    header.end();
    if (targets.size() > 1) {
      throw new TemplateException("a block set takes one name");
    }
    return new Statement.AssignBlock(targets.getFirst(), filters, body(tag, depth, false));
  }

  private static List<Statement.FilterCall> filters(ExpressionParser header) {
    List<Statement.FilterCall> filters = new ArrayList<>();
    do {
      filters.add(header.filterCall());
    } while (header.takeOperator("|"));
    header.end();
    return filters;
  }

  private static Map<String, Expression> parameters(ExpressionParser header) {
    Map<String, Expression> parameters = new LinkedHashMap<>();
    header.expect("(");
    while (!header.takeOperator(")")) {
      String name = header.name();
      parameters.put(
          name,
          header.takeOperator("=")
              ? header.expression()
              : new Expression.Missing("parameter '" + name + "' was not provided"));
      if (!header.takeOperator(",")) {
        header.expect(")");
        break;
      }
    }
    return parameters;
  }

  private static Statement macro(TagNode tag, ExpressionParser header, int depth) {
    String name = header.name();
    Map<String, Expression> parameters = parameters(header);
    header.end();
    return new Statement.Macro(name, parameters, body(tag, depth, false));
  }

  private static Statement call(TagNode tag, ExpressionParser header, int depth) {
    Map<String, Expression> parameters = header.startsParentheses() ? parameters(header) : Map.of();
    Expression expression = header.expression();
    header.end();
    if (!(expression instanceof Expression.Call call)) {
      throw new TemplateException("expected a call, found " + tag.getHelpers().strip());
    }
    Statement.Macro caller = new Statement.Macro("caller", parameters, body(tag, depth, false));
    return new Statement.Call(caller, call);
  }

  private static Statement with(TagNode tag, ExpressionParser header, int depth, boolean inLoop) {
    Map<String, Expression> variables = new LinkedHashMap<>();
    while (!header.atEnd()) {
      String name = header.name();
      header.expect("=");
      variables.put(name, header.expression());
      if (!header.takeOperator(",")) {
        break;
      }
    }
    header.end();
    return new Statement.With(variables, body(tag, depth, inLoop));
  }
}
