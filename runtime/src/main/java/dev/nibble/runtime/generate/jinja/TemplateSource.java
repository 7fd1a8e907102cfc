package dev.nibble.runtime.generate.jinja;

/**
 * Rewrites a template so that jinjava reads what jinja2 would. jinjava's own white space control
 * differs (it strips blanks before a tag in the middle of a line, and forgets a minus sign on a
 * comment), so it is applied here, after jinja2's lexer with trim_blocks and lstrip_blocks on, and
 * its signs are taken out. Comments are dropped; raw text and braces in plain text become string
 * literals; nested closing braces are set apart, which jinjava would take for the end.
 */
final class TemplateSource {
  private final String source;
  private final StringBuilder out = new StringBuilder();
  private int position;

  /** Whether plain text that starts here starts a line. */
  private boolean atLineStart = true;

  private TemplateSource(String source) {
    this.source = source;
  }

  /** Rewrites a source, whose last line end, as in jinja2, does not count. */
  static String rewrite(String source) {
    String lines = source.replace("\r\n", "\n").replace('\r', '\n');
    return new TemplateSource(lines.endsWith("\n") ? lines.substring(0, lines.length() - 1) : lines)
        .rewrite();
  }

  private String rewrite() {
    while (true) {
      int start = nextTag();
      if (start < 0) {
        text(source.substring(position));
        return out.toString();
      }
      char kind = source.charAt(start + 1);
      char sign = start + 2 < source.length() ? source.charAt(start + 2) : ' ';
      String before = source.substring(position, start);
      if (sign == '-') {
        before = StringMethods.strip(before, null, false, true);
      } else if (sign != '+' && kind != '{') {
        before = withoutBlanksAtEnd(before, atLineStart);
      }
      text(before);
      position = start + (sign == '-' || (sign == '+' && kind != '{') ? 3 : 2);
      switch (kind) {
        case '#' -> comment();
        case '%' -> block();
        default -> expression();
      }
    }
  }

  private int nextTag() {
    for (int i = position; i + 1 < source.length(); i++) {
      if (source.charAt(i) == '{' && "{%#".indexOf(source.charAt(i + 1)) >= 0) {
        return i;
      }
    }
    return -1;
  }

  /** The text without what is between its last line end and a tag, if that is only blanks. */
  private static String withoutBlanksAtEnd(String text, boolean atLineStart) {
    int line = text.lastIndexOf('\n') + 1;
    boolean blank = StringMethods.strip(text.substring(line), null, true, false).isEmpty();
    return blank && (line > 0 || atLineStart) ? text.substring(0, line) : text;
  }

  private void comment() {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw new TemplateException("Missing end of comment tag");
    }
    char sign = end > position ? source.charAt(end - 1) : ' ';
    position = end + 2;
    afterTag(sign);
  }

  private void block() {
    int end = contentEnd('%');
    String content = content(end);
    char sign = sign(end);
    position = end + 2;
    if (content.strip().equals("raw")) {
      raw(sign);
      return;
    }
    out.append("{% ").append(spread(content)).append(" %}");
    afterTag(sign);
  }

  private void expression() {
    int end = contentEnd('}');
    out.append("{{ ").append(spread(content(end))).append(" }}");
    boolean trims = sign(end) == '-';
    position = end + 2;
    atLineStart = false;
    if (trims) {
      skipSpace();
    }
  }

  private void raw(char sign) {
    if (sign == '-') {
      skipSpace();
    }
    int start = position;
    int from = start;
    while (true) {
      int tag = source.indexOf("{%", from);
      int end = tag < 0 ? -1 : source.indexOf("%}", tag);
      if (end < 0) {
        throw new TemplateException("Missing end of raw directive");
      }
      String inside = source.substring(tag + 2, end);
      if (StringMethods.strip(inside, "+-", true, true).strip().equals("endraw")) {
        String text = source.substring(start, tag);
        if (inside.startsWith("-")) {
          text = StringMethods.strip(text, null, false, true);
        } else if (!inside.startsWith("+")) {
          text = withoutBlanksAtEnd(text, false);
        }
        literal(text);
        position = end + 2;
        afterTag(inside.charAt(inside.length() - 1));
        return;
      }
      from = tag + 2;
    }
  }

  /** Where the percent sign or brace that closes a tag is: outside of strings and brackets. */
  private int contentEnd(char close) {
    int depth = 0;
    char quote = 0;
    for (int i = position; i + 1 < source.length(); i++) {
      char c = source.charAt(i);
      if (quote != 0) {
        if (c == '\\') {
          i++;
        } else if (c == quote) {
          quote = 0;
        }
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (depth == 0 && c == close && source.charAt(i + 1) == '}') {
        return i;
      } else if (c == '(' || c == '[' || c == '{') {
        depth++;
      } else if (c == ')' || c == ']' || c == '}') {
        depth--;
        if (depth < 0) {
          throw new TemplateException(
              "unexpected '" + c + "' in: " + source.substring(position, i).strip());
        }
      }
    }
    throw new TemplateException(
        "a tag without its end: "
            + source.substring(position, Math.min(source.length(), position + 40)).strip());
  }

  private char sign(int end) {
    return end > position ? source.charAt(end - 1) : ' ';
  }

  private String content(int end) {
    char sign = sign(end);
    boolean signed = sign == '-' || (sign == '+' && source.charAt(end) == '%');
    return source.substring(position, signed ? end - 1 : end);
  }

  /** Goes on after a block or comment: a minus takes all white space, else one line end goes. */
  private void afterTag(char sign) {
    boolean lineEnd = position < source.length() && source.charAt(position) == '\n';
    atLineStart = false;
    if (sign == '-') {
      int start = position;
      skipSpace();
      atLineStart = position > start && source.charAt(position - 1) == '\n';
    } else if (sign != '+' && lineEnd) {
      position++;
      atLineStart = true;
    }
  }

  private void skipSpace() {
    while (position < source.length() && StringMethods.isSpace(source.charAt(position))) {
      position++;
    }
  }

  private void text(String text) {
    if (!text.isEmpty()) {
      if (text.indexOf('{') >= 0 || text.indexOf('}') >= 0) {
        literal(text);
      } else {
        out.append(text);
      }
    }
  }

  private void literal(String text) {
    if (text.isEmpty()) {
      return;
    }
    out.append("{{ '");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '\\', '\'' -> out.append('\\').append(c);
        case '{' -> out.append("\\x7b");
        case '}' -> out.append("\\x7d");
        case '%' -> out.append("\\x25");
        case '#' -> out.append("\\x23");
        default -> out.append(c);
      }
    }
    out.append("' }}");
  }

  /** The content with blanks between brackets, and with braces in strings escaped. */
  private static String spread(String content) {
    StringBuilder spread = new StringBuilder();
    char quote = 0;
    for (int i = 0; i < content.length(); i++) {
      char c = content.charAt(i);
      if (quote != 0) {
        if (c == '\\' && i + 1 < content.length()) {
          spread.append(c).append(content.charAt(++i));
          continue;
        }
        if (c == quote) {
          quote = 0;
        }
        spread.append(c == '{' ? "\\x7b" : c == '}' ? "\\x7d" : Character.toString(c));
      } else if (c == '\'' || c == '"') {
        quote = c;
        spread.append(c);
      } else if (c == '{' || c == '}') {
        spread.append(' ').append(c).append(' ');
      } else {
        spread.append(c);
      }
    }
    return spread.toString();
  }
}
