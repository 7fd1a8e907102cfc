package dev.nibble.runtime.generate.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The filters that follow {@code |}; those of items are {@link SequenceFilters}. */
final class Filters {
  private Filters() {}

  static @Nullable Object apply(
      String name, @Nullable Object value, Arguments arguments, Budget budget) {
    budget.step();
    return switch (name) {
      case "abs" -> absolute(value, budget);
      case "attr" -> attr(value, arguments, budget);
      case "batch" -> SequenceFilters.batch(value, arguments, budget);
      case "capitalize" -> StringMethods.capitalize(text(value, budget));
      case "count", "length" -> Values.length(value);
      case "d", "default" -> orDefault(value, arguments);
      case "dictsort" -> SequenceFilters.sortedPairs(value, budget);
      case "e", "escape" -> escape(text(value, budget), budget);
      case "first" -> SequenceFilters.end(Values.items(value, budget), true);
      case "float" -> real(value, arguments);
      case "format" ->
          PercentFormat.format(text(value, budget), new Tuple(arguments.positional()), budget);
      case "indent" -> indent(value, arguments, budget);
      case "int" -> integer(value, arguments);
      case "items" -> items(value, budget);
      case "join" -> SequenceFilters.join(value, arguments, budget);
      case "last" -> SequenceFilters.end(Values.items(value, budget), false);
      case "list" -> SequenceFilters.copy(Values.items(value, budget), budget);
      case "lower" -> text(value, budget).toLowerCase(Locale.ROOT);
      case "map" -> SequenceFilters.map(value, arguments, budget);
      case "max" -> SequenceFilters.extreme(value, arguments, budget, 1);
      case "min" -> SequenceFilters.extreme(value, arguments, budget, -1);
      case "reject" ->
          SequenceFilters.select(value, SequenceFilters.test(arguments, budget).negate(), budget);
      case "rejectattr" ->
          SequenceFilters.select(
              value, SequenceFilters.attributeTest(arguments, budget).negate(), budget);
      case "replace" ->
          StringMethods.replace(
              text(value, budget),
              text(arguments.get(0, "old"), budget),
              text(arguments.get(1, "new"), budget),
              arguments.number(2, "count", -1),
              budget);
      case "reverse" -> SequenceFilters.reverse(value, budget);
      case "round" -> round(value, arguments);
      case "safe", "string" -> text(value, budget);
      case "select" ->
          SequenceFilters.select(value, SequenceFilters.test(arguments, budget), budget);
      case "selectattr" ->
          SequenceFilters.select(value, SequenceFilters.attributeTest(arguments, budget), budget);
      case "sort" -> SequenceFilters.sort(value, arguments, budget);
      case "sum" -> SequenceFilters.sum(value, arguments, budget);
      case "title" -> title(text(value, budget));
      case "tojson" -> JsonText.of(value, jsonStyle(arguments), budget);
      case "trim" ->
          StringMethods.strip(text(value, budget), arguments.get(0, "chars", null), true, true);
      case "unique" -> SequenceFilters.unique(value, arguments, budget);
      case "upper" -> text(value, budget).toUpperCase(Locale.ROOT);
      case "wordcount" -> wordCount(text(value, budget));
      default -> throw new TemplateException("No filter named '" + name + "'.");
    };
  }

  private static @Nullable Object absolute(@Nullable Object value, Budget budget) {
    String sign = Values.real(value) < 0 ? "-" : "+";
    return Operators.apply(sign, 0L, value, budget);
  }

  static String text(@Nullable Object value, Budget budget) {
    String text = Values.text(value, budget);
    budget.takeString(text.length());
    return text;
  }

  private static @Nullable Object attr(@Nullable Object value, Arguments arguments, Budget budget) {
    Object found = Members.attribute(value, arguments.text(0, "name"), budget);
    return value instanceof Map ? Undefined.attribute(value, arguments.text(0, "name")) : found;
  }

  private static List<?> items(@Nullable Object value, Budget budget) {
    return switch (value) {
      case Map<?, ?> map -> Members.pairs(map, budget);
      case Undefined undefined -> List.of();
      case null, default -> throw new TemplateException("Can only get item pairs from a mapping.");
    };
  }

  private static @Nullable Object orDefault(@Nullable Object value, Arguments arguments) {
    boolean replaced =
        value instanceof Undefined
            || (arguments.flag(1, "boolean", false) && !Values.isTrue(value));
    return replaced ? arguments.get(0, "default_value", "") : value;
  }

  private static Object real(@Nullable Object value, Arguments arguments) {
    Object fallback = arguments.get(0, "default", 0.0);
    if (value instanceof Undefined undefined) {
      throw undefined.use();
    }
    if (Values.isNumber(value)) {
      return Values.real(value);
    }
    if (value instanceof String text) {
      try {
        return Double.valueOf(text.strip());
      } catch (NumberFormatException e) {
        return fallback == null ? 0.0 : fallback;
      }
    }
    return fallback == null ? 0.0 : fallback;
  }

  private static @Nullable Object integer(@Nullable Object value, Arguments arguments) {
    if (value instanceof Undefined undefined) {
      throw undefined.use();
    }
    if (value instanceof Double number) {
      return (long) (double) number;
    }
    if (Values.isNumber(value)) {
      return Values.integer(value);
    }
    if (value instanceof String text) {
      try {
        return Long.valueOf(text.strip(), arguments.number(1, "base", 10));
      } catch (NumberFormatException e) {
        Object number = real(value, new Arguments(List.of(Double.NaN), Map.of()));
        if (number instanceof Double d && Double.isFinite(d)) {
          return (long) (double) d;
        }
      }
    }
    return arguments.get(0, "default", 0L);
  }

  private static String escape(String text, Budget budget) {
    String escaped =
        text.replace("&", "&amp;")
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .replace("'", "&#39;")
            .replace("\"", "&#34;");
    budget.takeString(escaped.length());
    return escaped;
  }

  private static String indent(@Nullable Object value, Arguments arguments, Budget budget) {
    if (!(value instanceof String text)) {
      throw new TemplateException("indent needs a string");
    }
    Object width = arguments.get(0, "width", 4L);
    String indent =
        width instanceof String s ? s : " ".repeat(Math.clamp(Values.integer(width), 0, 1024));
    boolean blank = arguments.flag(2, "blank", false);
    StringBuilder out = new StringBuilder(arguments.flag(1, "first", false) ? indent : "");
    boolean first = true;
    for (Object line : StringMethods.lines(text + "\n", false, budget)) {
      String content = String.valueOf(line);
      if (!first) {
        out.append('\n').append(blank || !content.isEmpty() ? indent : "");
      }
      budget.grow(out.length(), (long) indent.length() + content.length());
      out.append(content);
      first = false;
    }
    return out.toString();
  }

  private static Object round(@Nullable Object value, Arguments arguments) {
    double number = Values.real(value);
    if (!Double.isFinite(number)) {
      return number;
    }
    RoundingMode mode =
        switch (String.valueOf(arguments.get(1, "method", "common"))) {
          case "common" -> RoundingMode.HALF_EVEN;
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          default -> throw new TemplateException("method must be common, ceil or floor");
        };
    int digits = Math.clamp(arguments.number(0, "precision", 0), -300, 300);
    if (!(value instanceof Double) && mode == RoundingMode.HALF_EVEN && digits >= 0) {
      return Values.integer(value);
    }
    return new BigDecimal(number).setScale(digits, mode).doubleValue();
  }

  /** Capitals after white space, hyphens and opening brackets, as jinja2's own title has it. */
  private static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean[] atStart = {true};
    text.codePoints()
        .forEach(c -> {
          out.appendCodePoint(atStart[0] ? Character.toUpperCase(c) : Character.toLowerCase(c));
          atStart[0] = StringMethods.isSpace(c) || "-({[<".indexOf(c) >= 0;
        });
    return out.toString();
  }

  private static long wordCount(String text) {
    long words = 0;
    boolean inWord = false;
    for (int i = 0; i < text.length(); i++) {
      boolean part = Character.isLetterOrDigit(text.charAt(i)) || text.charAt(i) == '_';
      words += part && !inWord ? 1 : 0;
      inWord = part;
    }
    return words;
  }

  private static JsonText.Style jsonStyle(Arguments arguments) {
    boolean ascii = arguments.flag(0, "ensure_ascii", false);
    Object indent = arguments.get(1, "indent", null);
    String indentText =
        indent == null
            ? null
            : indent instanceof String s
                ? s
                : " ".repeat(Math.clamp(Values.integer(indent), 0, 64));
    String itemSeparator = indent == null ? ", " : ",";
    String keySeparator = ": ";
    if (arguments.get(2, "separators", null) instanceof List<?> pair && pair.size() == 2) {
      itemSeparator = String.valueOf(pair.getFirst());
      keySeparator = String.valueOf(pair.getLast());
    }
    return new JsonText.Style(
        indentText, itemSeparator, keySeparator, ascii, arguments.flag(3, "sort_keys", false));
  }
}
