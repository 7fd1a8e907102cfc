package dev.nibble.runtime.generate.jinja;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Python's rules for truth, equality, order and text of values. */
final class Values {
  /** Of lists and maps in one another, where they are printed. */
  static final int MAX_DEPTH = 64;

  private Values() {}

  static boolean isTrue(@Nullable Object value) {
    return switch (value) {
      case null -> false;
      case Boolean flag -> flag;
      case Long number -> number != 0;
      case Double number -> number != 0;
      case String text -> !text.isEmpty();
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case Undefined undefined -> false;
      default -> true;
    };
  }

  static String typeName(@Nullable Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean flag -> "bool";
      case Long number -> "int";
      case Double number -> "float";
      case String text -> "str";
      case Tuple tuple -> "tuple";
      case List<?> list -> "list";
      case Map<?, ?> map -> "dict";
      case Namespace namespace -> "Namespace";
      case Undefined undefined -> "Undefined";
      case LoopState loop -> "LoopContext";
      default -> "function";
    };
  }

  /** Equality across number types, and of lists and maps by their items. */
  static boolean equal(@Nullable Object left, @Nullable Object right, Budget budget) {
    budget.step();
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right) == 0;
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      if (a.size() != b.size() || a instanceof Tuple != b instanceof Tuple) {
        return false;
      }
      Iterator<?> other = b.iterator();
      return a.stream().allMatch(item -> equal(item, other.next(), budget));
    }
    if (left instanceof Map<?, ?> a && right instanceof Map<?, ?> b) {
      return a.size() == b.size()
          && a.entrySet().stream()
              .allMatch(entry ->
                  b.containsKey(entry.getKey())
                      && equal(entry.getValue(), b.get(entry.getKey()), budget));
    }
    return Objects.equals(left, right);
  }

  static int compare(@Nullable Object left, @Nullable Object right, Budget budget) {
    budget.step();
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right);
    }
    if (left instanceof String a && right instanceof String b) {
      budget.take((long) a.length() + b.length());
      return compareTexts(a, b);
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
        if (!equal(a.get(i), b.get(i), budget)) {
          return compare(a.get(i), b.get(i), budget);
        }
      }
      return Integer.compare(a.size(), b.size());
    }
    throw mismatch("<", left, right);
  }

  /** By code points, which for characters beyond U+FFFF is not the order of String. */
  private static int compareTexts(String a, String b) {
    return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
  }

  private static int compareNumbers(@Nullable Object left, @Nullable Object right) {
    if (left instanceof Double || right instanceof Double) {
      double a = real(left);
      double b = real(right);
      return a < b ? -1 : a == b ? 0 : 1;
    }
    return Long.compare(integer(left), integer(right));
  }

  static boolean isNumber(@Nullable Object value) {
    return value instanceof Long || value instanceof Double || value instanceof Boolean;
  }

  static long integer(@Nullable Object value) {
    return switch (value) {
      case Long number -> number;
      case Boolean flag -> flag ? 1 : 0;
      case Undefined undefined -> throw undefined.use();
      case null, default ->
          throw new TemplateException("an integer expected, found " + typeName(value));
    };
  }

  static double real(@Nullable Object value) {
    return value instanceof Double number ? number : integer(value);
  }

  static TemplateException mismatch(
      String operator, @Nullable Object left, @Nullable Object right) {
    if (left instanceof Undefined undefined) {
      return undefined.use();
    }
    if (right instanceof Undefined undefined) {
      return undefined.use();
    }
    return new TemplateException(
        "unsupported operand types for "
            + operator
            + ": '"
            + typeName(left)
            + "' and '"
            + typeName(right)
            + "'");
  }

  /** What printing a value gives. */
  static String text(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      return text;
    }
    if (value instanceof Undefined) {
      return "";
    }
    StringBuilder out = new StringBuilder();
    represent(value, out, budget, 0);
    return out.toString();
  }

  /** What Python's repr gives. */
  static String represent(@Nullable Object value, Budget budget) {
    StringBuilder out = new StringBuilder();
    represent(value, out, budget, 0);
    return out.toString();
  }

  private static void represent(
      @Nullable Object value, StringBuilder out, Budget budget, int depth) {
    budget.grow(out.length(), 1);
    if (depth > MAX_DEPTH) {
      throw new TemplateException("a value of more than " + MAX_DEPTH + " levels");
    }
    switch (value) {
      case null -> out.append("None");
      case Boolean flag -> out.append(flag ? "True" : "False");
      case Long number -> out.append((long) number);
      case Double number -> out.append(realText(number));
      case String text -> {
        budget.takeString(text.length());
        quote(text, out);
      }
      case List<?> list -> {
        boolean tuple = list instanceof Tuple;
        out.append(tuple ? '(' : '[');
        String separator = "";
        for (Object item : list) {
          out.append(separator);
          represent(item, out, budget, depth + 1);
          separator = ", ";
        }
        out.append(tuple && list.size() == 1 ? "," : "").append(tuple ? ')' : ']');
      }
      case Map<?, ?> map -> {
        out.append('{');
        String separator = "";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
          out.append(separator);
          represent(entry.getKey(), out, budget, depth + 1);
          out.append(": ");
          represent(entry.getValue(), out, budget, depth + 1);
          separator = ", ";
        }
        out.append('}');
      }
      case Undefined undefined -> out.append("Undefined");
      default -> out.append('<').append(typeName(value)).append('>');
    }
  }

  /** Python's repr of a float: the shortest digits, an exponent from 1e16 on and below 1e-4. */
  static String realText(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value > 0 ? "0.0" : "-0.0";
    }
    BigDecimal digits = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    int exponent = digits.precision() - digits.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = digits.toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String unscaled = digits.unscaledValue().abs().toString();
    String fraction = unscaled.length() > 1 ? "." + unscaled.substring(1) : "";
    String sign = value < 0 ? "-" : "";
    String exponentText = (exponent < 0 ? "-" : "+") + (Math.abs(exponent) < 10 ? "0" : "");
    return sign + unscaled.charAt(0) + fraction + "e" + exponentText + Math.abs(exponent);
  }

  private static void quote(String text, StringBuilder out) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    text.codePoints()
        .forEach(c -> {
          switch (c) {
            case '\n' -> out.append("\\n");
            case '\r' -> out.append("\\r");
            case '\t' -> out.append("\\t");
            case '\\' -> out.append("\\\\");
            default -> {
              if (c == quote) {
                out.append('\\').append(quote);
              } else if (isPrintable(c)) {
                out.appendCodePoint(c);
              } else {
                String format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
                out.append(String.format(format, c));
              }
            }
          }
        });
    out.append(quote);
  }

  private static boolean isPrintable(int c) {
    return c == ' '
        || switch (Character.getType(c)) {
          case Character.CONTROL,
              Character.FORMAT,
              Character.SURROGATE,
              Character.PRIVATE_USE,
              Character.UNASSIGNED,
              Character.LINE_SEPARATOR,
              Character.PARAGRAPH_SEPARATOR,
              Character.SPACE_SEPARATOR ->
              false;
          default -> true;
        };
  }

  /** What a loop, a filter or {@code in} goes through. */
  static List<?> items(@Nullable Object value, Budget budget) {
    return switch (value) {
      case List<?> list -> list;
      case Map<?, ?> map -> {
        budget.take(map.size());
        yield new ArrayList<@Nullable Object>(map.keySet());
      }
      case String text -> {
        budget.take(text.length());
        yield text.codePoints().mapToObj(Character::toString).toList();
      }
      case Undefined undefined -> List.of();
      case null, default ->
          throw new TemplateException("'" + typeName(value) + "' object is not iterable");
    };
  }

  static long length(@Nullable Object value) {
    return switch (value) {
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case String text -> text.codePointCount(0, text.length());
      case Undefined undefined -> 0;
      case null, default ->
          throw new TemplateException("object of type '" + typeName(value) + "' has no len()");
    };
  }
}
