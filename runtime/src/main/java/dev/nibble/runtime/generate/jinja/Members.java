package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Attributes, items and slices of values. */
final class Members {
  private Members() {}

  /** {@code owner.name}: a method or attribute before an item of that name. */
  static @Nullable Object attribute(@Nullable Object owner, String name, Budget budget) {
    refuseUndefined(owner);
    Object own = ownAttribute(owner, name, budget);
    if (own instanceof Undefined && owner instanceof Map<?, ?> map && map.containsKey(name)) {
      return map.get(name);
    }
    return own;
  }

  /** {@code owner[index]}: an item before a method or attribute of that name. */
  static @Nullable Object item(@Nullable Object owner, @Nullable Object index, Budget budget) {
    refuseUndefined(owner);
    if (owner instanceof Map<?, ?> map && map.containsKey(index)) {
      return map.get(index);
    }
    if (index instanceof Long || index instanceof Boolean) {
      long position = Values.integer(index);
      if (owner instanceof List<?> list) {
        long i = position < 0 ? position + list.size() : position;
        return i >= 0 && i < list.size()
            ? list.get((int) i)
            : new Undefined("list index out of range");
      }
      if (owner instanceof String text) {
        return character(text, position);
      }
    }
    return index instanceof String name
        ? ownAttribute(owner, name, budget)
        : Undefined.attribute(owner, Values.text(index, budget));
  }

  private static Object character(String text, long position) {
    int length = text.codePointCount(0, text.length());
    long i = position < 0 ? position + length : position;
    if (i < 0 || i >= length) {
      return new Undefined("string index out of range");
    }
    return Character.toString(text.codePointAt(text.offsetByCodePoints(0, (int) i)));
  }

  private static void refuseUndefined(@Nullable Object owner) {
    if (owner instanceof Undefined undefined) {
      throw undefined.use();
    }
  }

  private static @Nullable Object ownAttribute(@Nullable Object owner, String name, Budget budget) {
    Object found =
        switch (owner) {
          case String text -> StringMethods.of(text, name, budget);
          case Map<?, ?> map -> mapMethod(map, name, budget);
          case List<?> list -> listMethod(list, name, budget);
          case LoopState loop -> loop.attribute(name, budget);
          case Namespace namespace when namespace.attributes().containsKey(name) ->
              new Found(namespace.attributes().get(name));
          case null, default -> null;
        };
    if (found instanceof Found result) {
      return result.value();
    }
    return found == null ? Undefined.attribute(owner, name) : found;
  }

  /** Tells a value that is None from none at all. */
  record Found(@Nullable Object value) {}

  private static @Nullable Callable mapMethod(Map<?, ?> map, String name, Budget budget) {
    return switch (name) {
      case "items" -> arguments -> pairs(map, budget);
      case "keys" -> arguments -> Values.items(map, budget);
      case "values" ->
          arguments -> {
            budget.take(map.size());
            return new ArrayList<@Nullable Object>(map.values());
          };
      case "get" ->
          arguments -> {
            Object key = arguments.get(0, "key");
            return map.containsKey(key) ? map.get(key) : arguments.get(1, "default", null);
          };
      default -> null;
    };
  }

  /** The entries of a map as tuples. */
  static List<@Nullable Object> pairs(Map<?, ?> map, Budget budget) {
    budget.take(2L * map.size());
    List<@Nullable Object> pairs = new ArrayList<>();
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      List<@Nullable Object> pair = new ArrayList<>();
      pair.add(entry.getKey());
      pair.add(entry.getValue());
      pairs.add(new Tuple(pair));
    }
    return pairs;
  }

  private static @Nullable Callable listMethod(List<?> list, String name, Budget budget) {
    return switch (name) {
      case "index" ->
          arguments -> {
            Object wanted = arguments.get(0, "value");
            for (int i = 0; i < list.size(); i++) {
              if (Values.equal(list.get(i), wanted, budget)) {
                return (long) i;
              }
            }
            throw new TemplateException("the value is not in the list");
          };
      case "count" ->
          arguments -> {
            Object wanted = arguments.get(0, "value");
            return list.stream().filter(item -> Values.equal(item, wanted, budget)).count();
          };
      case "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear" ->
          throw new TemplateException(
              "access to attribute '" + name + "' of 'list' object is unsafe.");
      default -> null;
    };
  }

  /** {@code owner[start:stop:step]}. */
  static Object slice(
      @Nullable Object owner,
      @Nullable Object start,
      @Nullable Object stop,
      @Nullable Object step,
      Budget budget) {
    refuseUndefined(owner);
    long stride = step == null ? 1 : Values.integer(step);
    if (stride == 0) {
      throw new TemplateException("slice step cannot be zero");
    }
    if (owner instanceof String text) {
      budget.takeString(text.length());
      int[] characters = text.codePoints().toArray();
      StringBuilder part = new StringBuilder();
      for (int i : indices(characters.length, start, stop, stride)) {
        part.appendCodePoint(characters[i]);
      }
      return part.toString();
    }
    if (owner instanceof List<?> list) {
      budget.take(list.size());
      List<@Nullable Object> part = new ArrayList<>();
      for (int i : indices(list.size(), start, stop, stride)) {
        part.add(list.get(i));
      }
      return list instanceof Tuple ? new Tuple(part) : part;
    }
    return Undefined.attribute(owner, "slice");
  }

  private static int[] indices(
      int length, @Nullable Object start, @Nullable Object stop, long step) {
    boolean forward = step > 0;
    long first = start == null ? (forward ? 0 : length - 1) : bound(start, length, forward);
    long end = stop == null ? (forward ? length : -1) : bound(stop, length, forward);
    long stride = Math.clamp(step, -length - 1L, length + 1L);
    return java.util.stream.LongStream.iterate(
            first, i -> forward ? i < end : i > end, i -> i + stride)
        .mapToInt(Math::toIntExact)
        .toArray();
  }

  private static long bound(@Nullable Object value, int length, boolean forward) {
    long index = Values.integer(value);
    if (index < 0) {
      index = Math.max(index + length, forward ? 0 : -1);
    }
    return Math.min(index, forward ? length : length - 1);
  }
}
