package dev.nibble.runtime.generate.jinja;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Python's {@code format % values}. */
final class PercentFormat {
  private static final Pattern SPECIFIER =
      Pattern.compile(
          "%(?:\\(([^)]*+)\\))?([-+ 0#]*+)(\\d{0,4})(?:\\.(\\d{0,4}))?(.?)", Pattern.DOTALL);

  private PercentFormat() {}

  static String format(String format, @Nullable Object values, Budget budget) {
    StringBuilder out = new StringBuilder();
    Matcher matcher = SPECIFIER.matcher(format);
    int used = 0;
    int start = 0;
    while (matcher.find(start)) {
      out.append(format, start, matcher.start());
      start = matcher.end();
      String type = matcher.group(5);
      String part = "%";
      if (!type.equals("%")) {
        Object value;
        if (matcher.group(1) != null && values instanceof Map<?, ?> map) {
          value = Members.item(map, matcher.group(1), budget);
        } else {
          value = argument(values, used++);
        }
        part = one(matcher, type, value, budget);
      }
      budget.grow((long) out.length() + part.length(), part.length());
      out.append(part);
    }
    boolean container =
        values instanceof Map || values instanceof List || values instanceof Undefined;
    if (values instanceof Tuple tuple ? used < tuple.size() : used == 0 && !container) {
      throw new TemplateException("not all arguments converted during string formatting");
    }
    budget.grow((long) out.length() + format.length() - start, format.length());
    return out.append(format, start, format.length()).toString();
  }

  private static @Nullable Object argument(@Nullable Object values, int index) {
    List<?> list = values instanceof Tuple tuple ? tuple : null;
    if (list == null ? index > 0 : index >= list.size()) {
      throw new TemplateException("not enough arguments for format string");
    }
    return list == null ? values : list.get(index);
  }

  private static String one(Matcher matcher, String type, @Nullable Object value, Budget budget) {
    String precision = matcher.group(4);
    String text =
        switch (type) {
          case "s" -> cut(Values.text(value, budget), precision);
          case "r" -> cut(Values.represent(value, budget), precision);
          case "d", "i", "u" -> Long.toString((long) Values.real(value));
          case "x" -> Long.toHexString(Values.integer(value));
          case "f", "F", "e" ->
              String.format(
                  Locale.ROOT,
                  "%."
                      + (precision == null || precision.isEmpty() ? "6" : precision)
                      + type.toLowerCase(Locale.ROOT),
                  Values.real(value));
          default -> throw new TemplateException("unsupported format character '" + type + "'");
        };
    String flags = matcher.group(2);
    boolean number = !type.equals("s") && !type.equals("r");
    if (number && flags.contains("+") && !text.startsWith("-")) {
      text = "+" + text;
    }
    return pad(text, flags, matcher.group(3), number, budget);
  }

  private static String pad(
      String text, String flags, String width, boolean number, Budget budget) {
    int wanted = width.isEmpty() ? 0 : Integer.parseInt(width);
    int missing = (int) Math.max(0, wanted - Values.length(text));
    budget.take(missing);
    if (flags.contains("-")) {
      return text + " ".repeat(missing);
    }
    if (number && flags.contains("0")) {
      boolean signed = text.startsWith("-") || text.startsWith("+");
      String sign = signed ? text.substring(0, 1) : "";
      return sign + "0".repeat(missing) + text.substring(sign.length());
    }
    return " ".repeat(missing) + text;
  }

  private static String cut(String text, @Nullable String precision) {
    if (precision == null || precision.isEmpty()) {
      return text;
    }
    int most = (int) Math.min(Integer.parseInt(precision), Values.length(text));
    return text.substring(0, text.offsetByCodePoints(0, most));
  }
}
