package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A part of a template that may print something. */
sealed interface Statement {
  /** What a statement says about what comes after it. */
  enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  Flow render(Scope scope, StringBuilder out);

  /** Statements one after the other. */
  static Flow renderAll(List<Statement> statements, Scope scope, StringBuilder out) {
    for (Statement statement : statements) {
      Flow flow = statement.render(scope, out);
      if (flow != Flow.NEXT) {
        return flow;
      }
    }
    return Flow.NEXT;
  }

  /** Appends text, which counts. */
  static void print(String text, Scope scope, StringBuilder out) {
    scope.budget().grow((long) out.length() + text.length(), text.length());
    out.append(text);
  }

  /** What statements print in a scope of their own. */
  static String capture(List<Statement> statements, Scope scope) {
    StringBuilder text = new StringBuilder();
    renderAll(statements, scope, text);
    return text.toString();
  }

  /** Plain text. */
  record Text(String text) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      print(text, scope, out);
      return Flow.NEXT;
    }
  }

  /** An expression in double braces. */
  record Print(Expression expression) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      print(Values.text(expression.evaluate(scope), scope.budget()), scope, out);
      return Flow.NEXT;
    }
  }

  /** {@code if}; the condition of {@code else} is true. */
  record If(List<Branch> branches) implements Statement {
    /** A condition and what it guards. */
    record Branch(Expression condition, List<Statement> body) {}

    @Override
    public Flow render(Scope scope, StringBuilder out) {
      for (Branch branch : branches) {
        if (Values.isTrue(branch.condition().evaluate(scope))) {
          return renderAll(branch.body(), scope, out);
        }
      }
      return Flow.NEXT;
    }
  }

  /** {@code for}. */
  record For(
      List<String> targets,
      Expression items,
      @Nullable Expression condition,
      List<Statement> body,
      List<Statement> otherwise)
      implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      List<?> all = Values.items(items.evaluate(scope), scope.budget());
      List<@Nullable Object> chosen = new ArrayList<>();
      for (Object item : all) {
        scope.budget().take(1);
        if (condition == null) {
          chosen.add(item);
          continue;
        }
        Scope inner = scope.inner();
        assign(targets, item, inner);
        if (Values.isTrue(condition.evaluate(inner))) {
          chosen.add(item);
        }
      }
      if (chosen.isEmpty()) {
        return renderAll(otherwise, scope.inner(), out);
      }
      boolean nested = scope.get("loop") instanceof LoopState;
      LoopState loop = new LoopState(chosen, nested ? 2 : 1);
      for (int i = 0; i < chosen.size(); i++) {
        scope.budget().step();
        loop.moveTo(i);
        Scope inner = scope.inner();
        inner.set("loop", loop);
        assign(targets, chosen.get(i), inner);
        if (renderAll(body, inner, out) == Flow.BREAK) {
          break;
        }
      }
      return Flow.NEXT;
    }
  }

  /** Sets one name to a value, or several to its items. */
  static void assign(List<String> targets, @Nullable Object value, Scope scope) {
    if (targets.size() == 1) {
      assign(targets.getFirst(), value, scope);
      return;
    }
    List<?> items = Values.items(value, scope.budget());
    if (items.size() != targets.size()) {
      throw new TemplateException(
          targets.size() + " values to unpack expected, found " + items.size());
    }
    for (int i = 0; i < targets.size(); i++) {
      assign(targets.get(i), items.get(i), scope);
    }
  }

  private static void assign(String target, @Nullable Object value, Scope scope) {
    int dot = target.indexOf('.');
    if (dot < 0) {
      scope.set(target, value);
    } else if (scope.get(target.substring(0, dot)) instanceof Namespace namespace) {
      namespace.attributes().put(target.substring(dot + 1), value);
    } else {
      throw new TemplateException("cannot assign attribute on non-namespace object");
    }
  }

  /** {@code set name = value}. */
  record Assign(List<String> targets, Expression value) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      assign(targets, value.evaluate(scope), scope);
      return Flow.NEXT;
    }
  }

  /** {@code set name} to what a body prints, through filters. */
  record AssignBlock(String target, List<FilterCall> filters, List<Statement> body)
      implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      assign(target, FilterCall.applyAll(filters, capture(body, scope.inner()), scope), scope);
      return Flow.NEXT;
    }
  }

  /** What a body prints, through filters. */
  record FilterBlock(List<FilterCall> filters, List<Statement> body) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      Object value = FilterCall.applyAll(filters, capture(body, scope.inner()), scope);
      print(Values.text(value, scope.budget()), scope, out);
      return Flow.NEXT;
    }
  }

  /** A filter without its input. */
  record FilterCall(String name, CallArguments arguments) {
    static @Nullable Object applyAll(List<FilterCall> filters, Object input, Scope scope) {
      Object value = input;
      for (FilterCall filter : filters) {
        Arguments arguments = filter.arguments().evaluate(scope);
        value = Filters.apply(filter.name(), value, arguments, scope.budget());
      }
      return value;
    }
  }

  /** {@code with}: variables for a body. */
  record With(Map<String, Expression> variables, List<Statement> body) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      Scope inner = scope.inner();
      variables.forEach((name, value) -> inner.set(name, value.evaluate(scope)));
      return renderAll(body, inner, out);
    }
  }

  /** {@code generation}: marks what training learns; prints its body. */
  record Block(List<Statement> body) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      return renderAll(body, scope, out);
    }
  }

  /** {@code break} and {@code continue}. */
  record Jump(Flow flow) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      return flow;
    }
  }

  /** {@code do}: an expression that is not printed. */
  record Do(Expression expression) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      expression.evaluate(scope);
      return Flow.NEXT;
    }
  }

  /** {@code macro}; a parameter without a default maps to none. */
  record Macro(String name, Map<String, Expression> parameters, List<Statement> body)
      implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      scope.set(name, bind(scope));
      return Flow.NEXT;
    }

    Callable bind(Scope definition) {
      return arguments -> {
        Scope scope = definition.inner();
        Map<String, @Nullable Object> extra = new LinkedHashMap<>(arguments.named());
        int index = 0;
        for (Map.Entry<String, Expression> parameter : parameters.entrySet()) {
          String key = parameter.getKey();
          scope.set(
              key,
              arguments.has(index, key)
                  ? arguments.get(index, key)
                  : parameter.getValue().evaluate(scope));
          extra.remove(key);
          index++;
        }
        Object caller = extra.remove("caller");
        if (!extra.isEmpty() || arguments.count() > index) {
          throw new TemplateException("macro '" + name + "' does not take these arguments");
        }
        if (caller != null) {
          scope.set("caller", caller);
        }
        return capture(body, scope);
      };
    }
  }

  /** {@code call}: calls a macro that may call the body back. */
  record Call(Macro caller, Expression.Call call) implements Statement {
    @Override
    public Flow render(Scope scope, StringBuilder out) {
      Arguments arguments = call.arguments().evaluate(scope);
      Map<String, @Nullable Object> named = new LinkedHashMap<>(arguments.named());
      named.put("caller", caller.bind(scope));
      Object callee = call.function().evaluate(scope);
      if (!(callee instanceof Callable macro)) {
        throw callee instanceof Undefined undefined
            ? undefined.use()
            : new TemplateException("'" + Values.typeName(callee) + "' object is not callable");
      }
      scope.budget().enter();
      Object result = macro.call(new Arguments(arguments.positional(), named));
      scope.budget().leave();
      print(Values.text(result, scope.budget()), scope, out);
      return Flow.NEXT;
    }
  }
}
