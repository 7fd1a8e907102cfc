package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** The filters that go through items. */
final class SequenceFilters {
  private SequenceFilters() {}

  static @Nullable Object end(List<?> items, boolean first) {
    if (items.isEmpty()) {
      return new Undefined("No " + (first ? "first" : "last") + " item, sequence was empty.");
    }
    return first ? items.getFirst() : items.getLast();
  }

  static String join(@Nullable Object value, Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> item = attribute(arguments.get(1, "attribute", null), budget);
    List<String> texts = new ArrayList<>();
    for (Object each : Values.items(value, budget)) {
      texts.add(Filters.text(item.apply(each), budget));
    }
    return StringMethods.join(Filters.text(arguments.get(0, "d", ""), budget), texts, budget);
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

  static List<@Nullable Object> map(@Nullable Object value, Arguments arguments, Budget budget) {
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
      step = item -> Filters.apply(filter, item, rest, budget);
    }
    List<@Nullable Object> out = new ArrayList<>();
    for (Object item : itemsIfTrue(value, budget)) {
      budget.step();
      out.add(step.apply(item));
    }
    return out;
  }

  static List<@Nullable Object> select(
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

  static Predicate<@Nullable Object> test(Arguments arguments, Budget budget) {
    if (arguments.count() == 0) {
      return Values::isTrue;
    }
    String name = arguments.text(0, "test");
    Arguments rest = arguments.rest();
    return item -> Tests.apply(name, item, rest, budget);
  }

  static Predicate<@Nullable Object> attributeTest(Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> attribute = attribute(arguments.get(0, "attribute"), budget);
    Predicate<@Nullable Object> test = test(arguments.rest(), budget);
    return item -> test.test(attribute.apply(item));
  }

  static Object reverse(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      budget.takeString(text.length());
      return new StringBuilder(text).reverse().toString();
    }
    return copy(Values.items(value, budget), budget).reversed();
  }

  static List<@Nullable Object> sort(@Nullable Object value, Arguments arguments, Budget budget) {
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

  static @Nullable Object extreme(
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

  static @Nullable Object sum(@Nullable Object value, Arguments arguments, Budget budget) {
    UnaryOperator<@Nullable Object> item = attribute(arguments.get(0, "attribute", null), budget);
    Object sum = arguments.get(1, "start", 0L);
    for (Object each : Values.items(value, budget)) {
      sum = Operators.apply("+", sum, item.apply(each), budget);
    }
    return sum;
  }

  static List<@Nullable Object> unique(@Nullable Object value, Arguments arguments, Budget budget) {
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

  static List<@Nullable Object> batch(@Nullable Object value, Arguments arguments, Budget budget) {
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

  static List<@Nullable Object> sortedPairs(@Nullable Object value, Budget budget) {
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

  static List<@Nullable Object> copy(List<?> items, Budget budget) {
    budget.take(items.size());
    return new ArrayList<@Nullable Object>(items);
  }

  /** What a filter that keeps or maps items goes through; all that is false counts as empty. */
  private static List<?> itemsIfTrue(@Nullable Object value, Budget budget) {
    return Values.isTrue(value) ? Values.items(value, budget) : List.of();
  }
}
