package dev.nibble.runtime.generate.jinja;

import org.jspecify.annotations.Nullable;

/** Python's {@code format.format(values)}, with plain fields such as {@code {}}, {@code {0}}. */
final class BraceFormat {
  private BraceFormat() {}

  static String format(String format, Arguments arguments, Budget budget) {
    StringBuilder out = new StringBuilder();
    int automatic = 0;
    int i = 0;
    while (i < format.length()) {
      char c = format.charAt(i);
      boolean doubled = i + 1 < format.length() && format.charAt(i + 1) == c;
      if (c != '{' && c != '}') {
        out.append(c);
        i++;
      } else if (doubled) {
        out.append(c);
        i += 2;
      } else {
        int end = c == '{' ? format.indexOf('}', i) : -1;
        if (end < 0) {
          throw new TemplateException("single '" + c + "' in a format string");
        }
        String field = format.substring(i + 1, end);
        String name = field.isEmpty() ? Integer.toString(automatic++) : field;
        String part = Values.text(value(name, arguments), budget);
        budget.grow((long) out.length() + part.length(), part.length());
        out.append(part);
        i = end + 1;
      }
    }
    budget.takeString(out.length());
    return out.toString();
  }

  private static @Nullable Object value(String field, Arguments arguments) {
    if (field.matches("\\d{1,4}")) {
      int index = Integer.parseInt(field);
      if (index >= arguments.count()) {
        throw new TemplateException("the format string needs more arguments");
      }
      return arguments.positional().get(index);
    }
    if (!arguments.named().containsKey(field)) {
      throw new TemplateException("the format field {" + field + "} is not supported");
    }
    return arguments.named().get(field);
  }
}
