package dev.nibble.runtime.generate.jinja;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Values as JSON, in the form of Python's json.dumps. */
final class JsonText {
  private final StringBuilder out = new StringBuilder();
  private final Style style;
  private final Budget budget;

  /**
   * The form.
   *
   * @param indent put before each level; null for one line
   * @param itemSeparator between items
   * @param keySeparator between a key and its value
   * @param ascii whether other characters are escaped
   * @param sorted whether keys are sorted
   */
  record Style(
      @Nullable String indent,
      String itemSeparator,
      String keySeparator,
      boolean ascii,
      boolean sorted) {}

  private JsonText(Style style, Budget budget) {
    this.style = style;
    this.budget = budget;
  }

  static String of(@Nullable Object value, Style style, Budget budget) {
    JsonText text = new JsonText(style, budget);
    text.write(value, 0);
    return text.out.toString();
  }

  private void write(@Nullable Object value, int level) {
    budget.grow(out.length(), 1);
    if (level > Values.MAX_DEPTH) {
      throw new TemplateException("a value of more than " + Values.MAX_DEPTH + " levels");
    }
    switch (value) {
      case null -> out.append("null");
      case Boolean flag -> out.append((boolean) flag);
      case Long number -> out.append((long) number);
      case Double number -> out.append(real(number));
      case String text -> writeString(text);
      case List<?> list -> {
        if (list.isEmpty()) {
          out.append("[]");
          return;
        }
        out.append('[');
        String separator = "";
        for (Object item : list) {
          out.append(separator);
          newLine(level + 1);
          write(item, level + 1);
          separator = style.itemSeparator();
        }
        newLine(level);
        out.append(']');
      }
      case Map<?, ?> map -> writeMap(map, level);
      default ->
          throw new TemplateException(
              "Object of type " + Values.typeName(value) + " is not JSON serializable");
    }
  }

  private void writeMap(Map<?, ?> map, int level) {
    if (map.isEmpty()) {
      out.append("{}");
      return;
    }
    Map<?, ?> ordered = map;
    if (style.sorted()) {
      TreeMap<Object, @Nullable Object> sorted =
          new TreeMap<>((a, b) -> Values.compare(a, b, budget));
      sorted.putAll(map);
      ordered = sorted;
    }
    out.append('{');
    String separator = "";
    for (Map.Entry<?, ?> entry : ordered.entrySet()) {
      out.append(separator);
      newLine(level + 1);
      writeString(key(entry.getKey()));
      out.append(style.keySeparator());
      write(entry.getValue(), level + 1);
      separator = style.itemSeparator();
    }
    newLine(level);
    out.append('}');
  }

  private static String key(@Nullable Object key) {
    return switch (key) {
      case null -> "null";
      case Boolean flag -> flag.toString();
      case Double number -> real(number);
      default -> key.toString();
    };
  }

  private static String real(double number) {
    if (Double.isNaN(number)) {
      return "NaN";
    }
    if (Double.isInfinite(number)) {
      return number > 0 ? "Infinity" : "-Infinity";
    }
    return Values.realText(number);
  }

  private void newLine(int level) {
    String indent = style.indent();
    if (indent != null) {
      out.append('\n').repeat(indent, level);
      budget.grow(out.length(), (long) indent.length() * level);
    }
  }

  private void writeString(String text) {
    budget.grow((long) out.length() + text.length(), text.length());
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || (style.ascii() && c > 0x7E)) {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
