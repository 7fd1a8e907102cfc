package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A parsed expression. */
sealed interface Expression {
  @Nullable Object evaluate(Scope scope);

  /** A literal. */
  record Constant(@Nullable Object value) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      return value;
    }
  }

  /** A parameter that was not given. */
  record Missing(String problem) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      return new Undefined(problem);
    }
  }

  /** A variable. */
  record Name(String name) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      scope.budget().step();
      return scope.get(name);
    }
  }

  /** A list or tuple. */
  record ListOf(List<Expression> items, boolean tuple) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      scope.budget().take(items.size());
      List<@Nullable Object> values = new ArrayList<>(items.size());
      for (Expression item : items) {
        values.add(item.evaluate(scope));
      }
      return tuple ? new Tuple(values) : values;
    }
  }

  /** A dict. */
  record MapOf(List<Expression> keys, List<Expression> values) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      scope.budget().take(keys.size());
      Map<@Nullable Object, @Nullable Object> map = new LinkedHashMap<>();
      for (int i = 0; i < keys.size(); i++) {
        Object key = keys.get(i).evaluate(scope);
        if (key instanceof List || key instanceof Map) {
          throw new TemplateException("unhashable type: '" + Values.typeName(key) + "'");
        }
        map.put(key, values.get(i).evaluate(scope));
      }
      return map;
    }
  }

  /** {@code value if condition else otherwise}. */
  record Choice(Expression condition, Expression value, @Nullable Expression otherwise)
      implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      if (Values.isTrue(condition.evaluate(scope))) {
        return value.evaluate(scope);
      }
      return otherwise == null
          ? new Undefined("the inline if-expression without an else part is undefined")
          : otherwise.evaluate(scope);
    }
  }

  /** {@code and}, {@code or}: the operand that decides. */
  record Logic(Expression left, Expression right, boolean conjunction) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object value = left.evaluate(scope);
      return Values.isTrue(value) == conjunction ? right.evaluate(scope) : value;
    }
  }

  /** {@code not}. */
  record Not(Expression operand) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      return !Values.isTrue(operand.evaluate(scope));
    }
  }

  /** A chain of comparisons, each with the operand before it. */
  record Comparison(Expression first, List<String> operators, List<Expression> operands)
      implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object left = first.evaluate(scope);
      for (int i = 0; i < operators.size(); i++) {
        Object right = operands.get(i).evaluate(scope);
        if (!Operators.compare(operators.get(i), left, right, scope.budget())) {
          return false;
        }
        left = right;
      }
      return true;
    }
  }

  /** {@code + - * / // % **}. */
  record Arithmetic(String operator, Expression left, Expression right) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      return Operators.apply(operator, left.evaluate(scope), right.evaluate(scope), scope.budget());
    }
  }

  /** {@code ~}: the texts of all parts. */
  record Concatenation(List<Expression> parts) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      StringBuilder text = new StringBuilder();
      for (Expression part : parts) {
        String added = Values.text(part.evaluate(scope), scope.budget());
        scope.budget().grow((long) text.length() + added.length(), added.length());
        text.append(added);
      }
      return text.toString();
    }
  }

  /** {@code -x} and {@code +x}. */
  record Sign(String sign, Expression operand) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object value = operand.evaluate(scope);
      return Operators.apply(
          sign, value instanceof Double ? (Object) (-0.0) : 0L, value, scope.budget());
    }
  }

  /** {@code owner.name}. */
  record Attribute(Expression owner, String name) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      scope.budget().step();
      return Members.attribute(owner.evaluate(scope), name, scope.budget());
    }
  }

  /** {@code owner[index]}. */
  record Item(Expression owner, Expression index) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      scope.budget().step();
      return Members.item(owner.evaluate(scope), index.evaluate(scope), scope.budget());
    }
  }

  /** {@code owner[start:stop:step]}. */
  record Slice(
      Expression owner,
      @Nullable Expression start,
      @Nullable Expression stop,
      @Nullable Expression step)
      implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      return Members.slice(
          owner.evaluate(scope),
          start == null ? null : start.evaluate(scope),
          stop == null ? null : stop.evaluate(scope),
          step == null ? null : step.evaluate(scope),
          scope.budget());
    }
  }

  /** {@code function(arguments)}. */
  record Call(Expression function, CallArguments arguments) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object callee = function.evaluate(scope);
      if (callee instanceof Undefined undefined) {
        throw undefined.use();
      }
      if (callee instanceof Callable callable) {
        Arguments values = arguments.evaluate(scope);
        scope.budget().enter();
        Object result = callable.call(values);
        scope.budget().leave();
        return result;
      }
      throw new TemplateException("'" + Values.typeName(callee) + "' object is not callable");
    }
  }

  /** {@code value|name(arguments)}. */
  record Filter(Expression value, String name, CallArguments arguments) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object input = value.evaluate(scope);
      return Filters.apply(name, input, arguments.evaluate(scope), scope.budget());
    }
  }

  /** {@code value is name(arguments)}. */
  record Test(Expression value, String name, CallArguments arguments) implements Expression {
    @Override
    public @Nullable Object evaluate(Scope scope) {
      Object input = value.evaluate(scope);
      return Tests.apply(name, input, arguments.evaluate(scope), scope.budget());
    }
  }
}
