package dev.nibble.runtime.generate.jinja;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a function, filter or test is called with.
 *
 * @param positional in order
 * @param named by name
 */
record Arguments(List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  int count() {
    return positional.size();
  }

  /** An argument that must be there. */
  @Nullable Object get(int index, String name) {
    if (!has(index, name)) {
      throw new TemplateException("the argument '" + name + "' is missing");
    }
    return index < positional.size() ? positional.get(index) : named.get(name);
  }

  @Nullable Object get(int index, String name, @Nullable Object absent) {
    return has(index, name) ? get(index, name) : absent;
  }

  boolean has(int index, String name) {
    return index < positional.size() || named.containsKey(name);
  }

  String text(int index, String name) {
    if (get(index, name) instanceof String text) {
      return text;
    }
    throw new TemplateException("the argument '" + name + "' is not a string");
  }

  int number(int index, String name, int absent) {
    return Math.toIntExact(
        Math.clamp(Values.integer(get(index, name, (long) absent)), -(1L << 30), 1L << 30));
  }

  boolean flag(int index, String name, boolean absent) {
    return Values.isTrue(get(index, name, absent));
  }

  /** Refuses more arguments than a function knows. */
  Arguments atMost(int count) {
    if (positional.size() > count) {
      throw new TemplateException("more than " + count + " arguments");
    }
    return this;
  }

  /** The arguments after the first. */
  Arguments rest() {
    return new Arguments(positional.subList(1, positional.size()), named);
  }
}
