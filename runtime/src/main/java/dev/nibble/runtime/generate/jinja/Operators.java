package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Python's binary operators. */
final class Operators {
  private Operators() {}

  static boolean compare(
      String operator, @Nullable Object left, @Nullable Object right, Budget budget) {
    return switch (operator) {
      case "==" -> Values.equal(left, right, budget);
      case "!=" -> !Values.equal(left, right, budget);
      case "<" -> Values.compare(left, right, budget) < 0;
      case ">" -> Values.compare(left, right, budget) > 0;
      case "<=" -> Values.compare(left, right, budget) <= 0;
      case ">=" -> Values.compare(left, right, budget) >= 0;
      case "in" -> contains(right, left, budget);
      case "not in" -> !contains(right, left, budget);
      default -> throw new TemplateException("unknown operator " + operator);
    };
  }

  static boolean contains(@Nullable Object container, @Nullable Object item, Budget budget) {
    if (container instanceof String text) {
      if (item instanceof String part) {
        budget.take(text.length());
        return TextSearch.contains(text, part);
      }
      throw new TemplateException(
          "'in <string>' requires string as left operand, not " + Values.typeName(item));
    }
    if (container instanceof Map<?, ?> map) {
      return map.containsKey(item);
    }
    return Values.items(container, budget).stream()
        .anyMatch(each -> Values.equal(each, item, budget));
  }

  static Object apply(
      String operator, @Nullable Object left, @Nullable Object right, Budget budget) {
    if (Values.isNumber(left) && Values.isNumber(right)) {
      return left instanceof Double || right instanceof Double || operator.equals("/")
          ? reals(operator, Values.real(left), Values.real(right))
          : integers(operator, Values.integer(left), Values.integer(right));
    }
    if (operator.equals("%") && left instanceof String format) {
      return PercentFormat.format(format, right, budget);
    }
    return switch (operator) {
      case "+" -> sum(left, right, budget);
      case "*" -> isCount(right) ? repeat(left, right, budget) : repeat(right, left, budget);
      default -> throw Values.mismatch(operator, left, right);
    };
  }

  private static Object sum(@Nullable Object left, @Nullable Object right, Budget budget) {
    if (left instanceof String a && right instanceof String b) {
      budget.takeString((long) a.length() + b.length());
      return a + b;
    }
    if (left instanceof List<?> a
        && right instanceof List<?> b
        && a instanceof Tuple == b instanceof Tuple) {
      budget.take((long) a.size() + b.size());
      List<@Nullable Object> joined = new ArrayList<>(a.size() + b.size());
      joined.addAll(a);
      joined.addAll(b);
      return a instanceof Tuple ? new Tuple(joined) : joined;
    }
    if (left instanceof String && !(right instanceof Undefined)) {
      throw new TemplateException(
          "can only concatenate str (not \"" + Values.typeName(right) + "\") to str");
    }
    throw Values.mismatch("+", left, right);
  }

  private static boolean isCount(@Nullable Object value) {
    return value instanceof Long || value instanceof Boolean;
  }

  private static Object repeat(@Nullable Object value, @Nullable Object times, Budget budget) {
    if (!isCount(times)) {
      throw Values.mismatch("*", value, times);
    }
    long count = Math.max(0, Values.integer(times));
    if (value instanceof String text) {
      long length = count > Budget.OUTPUT_BYTES ? count : count * text.length();
      budget.takeString(text.isEmpty() ? 0 : length);
      return text.isEmpty() ? "" : text.repeat((int) count);
    }
    if (value instanceof List<?> list && !list.isEmpty()) {
      budget.take(count > Budget.OUTPUT_BYTES ? Long.MAX_VALUE / 2 : count * list.size());
      List<@Nullable Object> repeated = new ArrayList<>();
      for (long i = 0; i < count; i++) {
        repeated.addAll(list);
      }
      return list instanceof Tuple ? new Tuple(repeated) : repeated;
    }
    if (value instanceof List<?> list) {
      return list;
    }
    throw Values.mismatch("*", value, times);
  }

  private static Object integers(String operator, long a, long b) {
    try {
      return switch (operator) {
        case "+" -> Math.addExact(a, b);
        case "-" -> Math.subtractExact(a, b);
        case "*" -> Math.multiplyExact(a, b);
        case "//" -> Math.floorDiv(a, nonZero(b));
        case "%" -> Math.floorMod(a, nonZero(b));
        case "**" -> b < 0 ? (Object) Math.pow((double) a, (double) b) : (Object) power(a, b);
        default -> throw new TemplateException("unknown operator " + operator);
      };
    } catch (ArithmeticException e) {
      throw new TemplateException("an integer beyond 64 bits");
    }
  }

  private static long nonZero(long divisor) {
    if (divisor == 0) {
      throw new TemplateException("division by zero");
    }
    return divisor;
  }

  private static long power(long base, long exponent) {
    if (base == 0 || base == 1) {
      return exponent == 0 ? 1 : base;
    }
    if (base == -1) {
      return exponent % 2 == 0 ? 1 : -1;
    }
    long result = 1;
    for (long i = 0; i < exponent; i++) {
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static Object reals(String operator, double a, double b) {
    if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new TemplateException("division by zero");
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - b * Math.floor(a / b);
      case "**" -> Math.pow(a, b);
      default -> throw new TemplateException("unknown operator " + operator);
    };
  }
}
