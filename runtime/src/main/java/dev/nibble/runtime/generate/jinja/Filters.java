package dev.nibble.runtime.generate.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** The filters that follow {@code |}. */
final class Filters {
  private Filters() {}

  static @Nullable Object apply(
      String name, @Nullable Object value, Arguments arguments, Budget budget) {
    budget.step();
    return switch (name) {
      case "abs" -> absolute(value, budget);
      case "attr" -> attr(value, arguments, budget);
      case "batch" -> batch(value, arguments, budget);
      case "capitalize" -> StringMethods.capitalize(text(value, budget));
      case "count", "length" -> Values.length(value);
      case "d", "default" -> orDefault(value, arguments);
      case "dictsort" -> sortedPairs(value, budget);
      case "e", "escape" -> escape(text(value, budget), budget);
      case "first" -> end(Values.items(value, budget), true);
      case "float" -> real(value, arguments);
      case "format" ->
          PercentFormat.format(text(value, budget), new Tuple(arguments.positional()), budget);
      case "indent" -> indent(value, arguments, budget);
      case "int" -> integer(value, arguments);
      case "items" -> items(value, budget);
      case "join" -> join(value, arguments, budget);
      case "last" -> end(Values.items(value, budget), false);
      case "list" -> copy(Values.items(value, budget), budget);
      case "lower" -> text(value, budget).toLowerCase(Locale.ROOT);
      case "map" -> map(value, arguments, budget);
      case "max" -> extreme(value, arguments, budget, 1);
      case "min" -> extreme(value, arguments, budget, -1);
      case "reject" -> select(value, test(arguments, budget).negate(), budget);
      case "rejectattr" -> select(value, attributeTest(arguments, budget).negate(), budget);
      case "replace" ->
          StringMethods.replace(
              text(value, budget),
              text(arguments.get(0, "old"), budget),
              text(arguments.get(1, "new"), budget),
              arguments.number(2, "count", -1),
              budget);
      case "reverse" -> reverse(value, budget);
      case "round" -> round(value, arguments);
      case "safe", "string" -> text(value, budget);
      case "select" -> select(value, test(arguments, budget), budget);
      case "selectattr" -> select(value, attributeTest(arguments, budget), budget);
      case "sort" -> sort(value, arguments, budget);
      case "sum" -> sum(value, arguments, budget);
      case "title" -> title(text(value, budget));
      case "tojson" -> JsonText.of(value, jsonStyle(arguments), budget);
      case "trim" ->
          StringMethods.strip(text(value, budget), arguments.get(0, "chars", null), true, true);
      case "unique" -> unique(value, arguments, budget);
      case "upper" -> text(value, budget).toUpperCase(Locale.ROOT);
      case "wordcount" -> wordCount(text(value, budget));
      default -> throw new TemplateException("No filter named '" + name + "'.");
    };
  }

  private static @Nullable Object absolute(@Nullable Object value, Budget budget) {
    String sign = Values.real(value) < 0 ? "-" : "+";
    return Operators.apply(sign, 0L, value, budget);
  }

  private static String text(@Nullable Object value, Budget budget) {
    String text = Values.text(value, budget);
    budget.takeString(text.length());
    return text;
  }

  private static List<@Nullable Object> copy(List<?> items, Budget budget) {
    budget.take(items.size());
    return new ArrayList<@Nullable Object>(items);
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

  /** What a filter that keeps or maps items goes through; all that is false counts as empty. */
  private static List<?> itemsIfTrue(@Nullable Object value, Budget budget) {
    return Values.isTrue(value) ? Values.items(value, budget) : List.of();
  }

  private static @Nullable Object orDefault(@Nullable Object value, Arguments arguments) {
    boolean replaced =
        value instanceof Undefined
            || (arguments.flag(1, "boolean", false) && !Values.isTrue(value));
    return replaced ? arguments.get(0, "default_value", "") : value;
  }

  private static @Nullable Object end(List<?> items, boolean first) {
    if (items.isEmpty()) {
      return new Undefined("No " + (first ? "first" : "last") + " item, sequence was empty.");
    }
    return first ? items.getFirst() : items.getLast();
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

  private static String join(@Nullable Object value, Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> item = attribute(arguments.get(1, "attribute", null), budget);
    List<String> texts = new ArrayList<>();
    for (Object each : Values.items(value, budget)) {
      texts.add(text(item.apply(each), budget));
    }
    return StringMethods.join(text(arguments.get(0, "d", ""), budget), texts, budget);
  }

  /** What a filter's {@code attribute} argument takes out of an item: a dotted name or an index. */
  private static UnaryOperator<@Nullable Object> attribute(
      @Nullable Object attribute, Budget budget) {
    if (attribute == null) {
      return item -> item;
    }
    if (!(attribute instanceof String path)) {
      return item -> Members.item(item, attribute, budget);
    }
    String[] names = path.split("\\.", -1);
    return item -> {
      Object result = item;
      for (String name : names) {
        boolean index =
            !name.isEmpty()
                && name.length() < 10
                && name.chars().allMatch(c -> c >= '0' && c <= '9');
        result = Members.item(result, index ? (Object) Long.valueOf(name) : name, budget);
      }
      return result;
    };
  }

  private static List<@Nullable Object> map(
      @Nullable Object value, Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> step;
    if (arguments.named().containsKey("attribute")) {
      UnaryOperator<@Nullable Object> attribute =
          attribute(arguments.named().get("attribute"), budget);
      Object fallback = arguments.named().get("default");
      step =
          item -> {
            Object found = attribute.apply(item);
            return found instanceof Undefined && fallback != null ? fallback : found;
          };
    } else {
      String filter = arguments.text(0, "filter");
      Arguments rest = arguments.rest();
      step = item -> apply(filter, item, rest, budget);
    }
    List<@Nullable Object> out = new ArrayList<>();
    for (Object item : itemsIfTrue(value, budget)) {
      budget.step();
      out.add(step.apply(item));
    }
    return out;
  }

  private static List<@Nullable Object> select(
      @Nullable Object value, Predicate<@Nullable Object> keep, Budget budget) {
    List<@Nullable Object> out = new ArrayList<>();
    for (Object item : itemsIfTrue(value, budget)) {
      budget.step();
      if (keep.test(item)) {
        out.add(item);
      }
    }
    return out;
  }

  private static Predicate<@Nullable Object> test(Arguments arguments, Budget budget) {
    if (arguments.count() == 0) {
      return Values::isTrue;
    }
    String name = arguments.text(0, "test");
    Arguments rest = arguments.rest();
    return item -> Tests.apply(name, item, rest, budget);
  }

  private static Predicate<@Nullable Object> attributeTest(Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> attribute = attribute(arguments.get(0, "attribute"), budget);
    Predicate<@Nullable Object> test = test(arguments.rest(), budget);
    return item -> test.test(attribute.apply(item));
  }

  private static Object reverse(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      budget.takeString(text.length());
      return new StringBuilder(text).reverse().toString();
    }
    return copy(Values.items(value, budget), budget).reversed();
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

  private static List<@Nullable Object> sort(
      @Nullable Object value, Arguments arguments, Budget budget) {
    boolean caseSensitive = arguments.flag(1, "case_sensitive", false);
    UnaryOperator<@Nullable Object> key = attribute(arguments.get(2, "attribute", null), budget);
    Comparator<@Nullable Object> order =
        (a, b) ->
            Values.compare(
                folded(key.apply(a), caseSensitive), folded(key.apply(b), caseSensitive), budget);
    List<@Nullable Object> sorted = copy(Values.items(value, budget), budget);
    sorted.sort(arguments.flag(0, "reverse", false) ? order.reversed() : order);
    return sorted;
  }

  private static @Nullable Object folded(@Nullable Object value, boolean caseSensitive) {
    return value instanceof String text && !caseSensitive ? text.toLowerCase(Locale.ROOT) : value;
  }

  private static @Nullable Object extreme(
      @Nullable Object value, Arguments arguments, Budget budget, int sign) {
    boolean caseSensitive = arguments.flag(0, "case_sensitive", false);
    UnaryOperator<@Nullable Object> key = attribute(arguments.get(1, "attribute", null), budget);
    List<?> items = Values.items(value, budget);
    Object best = end(items, true);
    for (Object item : items) {
      int order =
          Values.compare(
              folded(key.apply(item), caseSensitive),
              folded(key.apply(best), caseSensitive),
              budget);
      if (order * sign > 0) {
        best = item;
      }
    }
    return best;
  }

  private static @Nullable Object sum(@Nullable Object value, Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> item = attribute(arguments.get(0, "attribute", null), budget);
    Object sum = arguments.get(1, "start", 0L);
    for (Object each : Values.items(value, budget)) {
      sum = Operators.apply("+", sum, item.apply(each), budget);
    }
    return sum;
  }

  private static List<@Nullable Object> unique(
      @Nullable Object value, Arguments arguments, Budget budget) {
    boolean caseSensitive = arguments.flag(0, "case_sensitive", false);
    UnaryOperator<@Nullable Object> key = attribute(arguments.get(1, "attribute", null), budget);
    List<@Nullable Object> seen = new ArrayList<>();
    List<@Nullable Object> out = new ArrayList<>();
    for (Object item : Values.items(value, budget)) {
      Object wanted = folded(key.apply(item), caseSensitive);
      if (seen.stream().noneMatch(each -> Values.equal(each, wanted, budget))) {
        seen.add(wanted);
        out.add(item);
      }
    }
    return out;
  }

  private static List<@Nullable Object> batch(
      @Nullable Object value, Arguments arguments, Budget budget) {
    int size = Math.max(1, arguments.number(0, "linecount", 1));
    Object fill = arguments.get(1, "fill_with", null);
    List<@Nullable Object> batches = new ArrayList<>();
    List<?> items = Values.items(value, budget);
    for (int start = 0; start < items.size(); start += size) {
      List<@Nullable Object> batch =
          copy(items.subList(start, Math.min(items.size(), start + size)), budget);
      while (fill != null && batch.size() < size) {
        budget.take(1);
        batch.add(fill);
      }
      batches.add(batch);
    }
    return batches;
  }

  private static List<@Nullable Object> sortedPairs(@Nullable Object value, Budget budget) {
    if (!(value instanceof Map<?, ?> map)) {
      throw new TemplateException("dictsort needs a dict");
    }
    List<@Nullable Object> pairs = Members.pairs(map, budget);
    pairs.sort((a, b) ->
        Values.compare(
            folded(Members.item(a, 0L, budget), false),
            folded(Members.item(b, 0L, budget), false),
            budget));
    return pairs;
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
