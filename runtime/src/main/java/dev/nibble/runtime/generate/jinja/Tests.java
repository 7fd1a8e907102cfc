package dev.nibble.runtime.generate.jinja;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The tests that follow {@code is}. */
final class Tests {
  private Tests() {}

  static boolean apply(String name, @Nullable Object value, Arguments arguments, Budget budget) {
    return switch (name) {
      case "defined" -> !(value instanceof Undefined);
      case "undefined" -> value instanceof Undefined;
      case "none" -> value == null;
      case "boolean" -> value instanceof Boolean;
      case "true" -> Boolean.TRUE.equals(value);
      case "false" -> Boolean.FALSE.equals(value);
      case "string" -> value instanceof String;
      case "number" -> Values.isNumber(value);
      case "integer" -> value instanceof Long;
      case "float" -> value instanceof Double;
      case "mapping" -> value instanceof Map;
      case "sequence", "iterable" ->
          value instanceof String
              || value instanceof List
              || value instanceof Map
              || value instanceof Undefined;
      case "callable" -> value instanceof Callable || value instanceof Undefined;
      case "odd" -> remainder(value, 2L, budget) == 1;
      case "even" -> remainder(value, 2L, budget) == 0;
      case "divisibleby" -> remainder(value, arguments.get(0, "num"), budget) == 0;
      case "lower" -> isCase(value, Values.text(value, budget).toLowerCase(Locale.ROOT), budget);
      case "upper" -> isCase(value, Values.text(value, budget).toUpperCase(Locale.ROOT), budget);
      case "sameas" -> same(value, arguments.get(0, "other"));
      case "in" -> Operators.contains(arguments.get(0, "seq"), value, budget);
      case "eq", "equalto", "==" -> compare("==", value, arguments, budget);
      case "ne", "!=" -> compare("!=", value, arguments, budget);
      case "lt", "lessthan", "<" -> compare("<", value, arguments, budget);
      case "le", "<=" -> compare("<=", value, arguments, budget);
      case "gt", "greaterthan", ">" -> compare(">", value, arguments, budget);
      case "ge", ">=" -> compare(">=", value, arguments, budget);
      default -> throw new TemplateException("No test named '" + name + "'.");
    };
  }

  private static boolean compare(
      String operator, @Nullable Object value, Arguments arguments, Budget budget) {
    return Operators.compare(operator, value, arguments.get(0, "other"), budget);
  }

  private static boolean isCase(@Nullable Object value, String converted, Budget budget) {
    String text = Values.text(value, budget);
    budget.take(text.length());
    return text.equals(converted)
        && text.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }

  private static double remainder(@Nullable Object value, @Nullable Object divisor, Budget budget) {
    return Values.real(Operators.apply("%", value, divisor, budget));
  }

  private static boolean same(@Nullable Object left, @Nullable Object right) {
    return switch (left) {
      case String text -> text.equals(right);
      case Long number -> number.equals(right);
      case Boolean flag -> flag.equals(right);
      case null, default -> left == right;
    };
  }
}
