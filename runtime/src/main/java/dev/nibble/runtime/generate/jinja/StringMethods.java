package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** Python's methods of str. */
final class StringMethods {
  private StringMethods() {}

  /** A method of a text, or null if there is none of that name. */
  static @Nullable Callable of(String text, String name, Budget budget) {
    budget.take(text.length());
    return switch (name) {
      case "strip" -> a -> strip(text, a.get(0, "chars", null), true, true);
      case "lstrip" -> a -> strip(text, a.get(0, "chars", null), true, false);
      case "rstrip" -> a -> strip(text, a.get(0, "chars", null), false, true);
      case "upper" -> a -> text.toUpperCase(Locale.ROOT);
      case "lower" -> a -> text.toLowerCase(Locale.ROOT);
      case "casefold" -> a -> text.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT);
      case "title" -> a -> title(text);
      case "capitalize" -> a -> capitalize(text);
      case "swapcase" -> a -> swapCase(text);
      case "startswith" -> a -> affix(a, prefix -> text.startsWith(prefix));
      case "endswith" -> a -> affix(a, suffix -> text.endsWith(suffix));
      case "removeprefix" -> a -> removePrefix(text, a.text(0, "prefix"));
      case "removesuffix" -> a -> removeSuffix(text, a.text(0, "suffix"));
      case "split" -> a -> split(text, a, false, budget);
      case "rsplit" -> a -> split(text, a, true, budget);
      case "splitlines" -> a -> lines(text, a.flag(0, "keepends", false), budget);
      case "partition" -> a -> partition(text, TextSearch.first(text, a.text(0, "sep"), 0), a);
      case "rpartition" ->
          a -> partition(text, TextSearch.last(text, a.text(0, "sep"), text.length()), a);
      case "replace" ->
          a -> replace(text, a.text(0, "old"), a.text(1, "new"), a.number(2, "count", -1), budget);
      case "join" -> a -> join(text, Values.items(a.get(0, "iterable"), budget), budget);
      case "find" -> a -> position(text, TextSearch.first(text, a.text(0, "sub"), 0));
      case "rfind" -> a -> position(text, TextSearch.last(text, a.text(0, "sub"), text.length()));
      case "index" -> a -> found(position(text, TextSearch.first(text, a.text(0, "sub"), 0)));
      case "rindex" ->
          a -> found(position(text, TextSearch.last(text, a.text(0, "sub"), text.length())));
      case "count" -> a -> count(text, a.text(0, "sub"), budget);
      case "isdigit", "isnumeric", "isdecimal" -> a -> all(text, Character::isDigit);
      case "isalpha" -> a -> all(text, Character::isLetter);
      case "isalnum" -> a -> all(text, Character::isLetterOrDigit);
      case "isspace" -> a -> all(text, StringMethods::isSpace);
      case "isupper" -> a -> isCased(text) && text.equals(text.toUpperCase(Locale.ROOT));
      case "islower" -> a -> isCased(text) && text.equals(text.toLowerCase(Locale.ROOT));
      case "zfill" -> a -> zeroFilled(text, a.number(0, "width", 0), budget);
      case "ljust" -> a -> text + padding(text, a, budget);
      case "rjust" -> a -> padding(text, a, budget) + text;
      case "format" -> a -> BraceFormat.format(text, a, budget);
      default -> null;
    };
  }

  /** Python's white space, which has more control characters than Unicode's. */
  static boolean isSpace(int c) {
    return switch (c) {
      case 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 -> true;
      default ->
          (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) || (c >= 0x2000 && c <= 0x200A);
    };
  }

  static String strip(String text, @Nullable Object characters, boolean left, boolean right) {
    if (characters != null && !(characters instanceof String)) {
      throw new TemplateException("strip arg must be None or str");
    }
    IntPredicate drop =
        characters instanceof String set ? c -> set.indexOf(c) >= 0 : StringMethods::isSpace;
    int start = 0;
    int end = text.length();
    while (left && start < end && drop.test(text.codePointAt(start))) {
      start += Character.charCount(text.codePointAt(start));
    }
    while (right && start < end && drop.test(text.codePointBefore(end))) {
      end -= Character.charCount(text.codePointBefore(end));
    }
    return text.substring(start, end);
  }

  private static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean[] inWord = {false};
    text.codePoints()
        .forEach(c -> {
          out.appendCodePoint(inWord[0] ? Character.toLowerCase(c) : Character.toTitleCase(c));
          inWord[0] = Character.isLetter(c);
        });
    return out.toString();
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return Character.toString(Character.toTitleCase(text.codePointAt(0)))
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  private static String swapCase(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .map(c -> Character.isUpperCase(c) ? Character.toLowerCase(c) : Character.toUpperCase(c))
        .forEach(out::appendCodePoint);
    return out.toString();
  }

  private static boolean affix(Arguments arguments, java.util.function.Predicate<String> matches) {
    if (arguments.get(0, "affix") instanceof Tuple several) {
      return several.stream().anyMatch(each -> each instanceof String s && matches.test(s));
    }
    return matches.test(arguments.text(0, "affix"));
  }

  private static String removePrefix(String text, String prefix) {
    return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
  }

  private static String removeSuffix(String text, String suffix) {
    return text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
  }

  private static List<@Nullable Object> split(
      String text, Arguments arguments, boolean fromRight, Budget budget) {
    budget.take(text.length());
    Object separator = arguments.get(0, "sep", null);
    int most = arguments.number(1, "maxsplit", -1);
    if (separator == null) {
      return splitAtSpaces(text, most, fromRight);
    }
    String mark = arguments.text(0, "sep");
    if (mark.isEmpty()) {
      throw new TemplateException("empty separator");
    }
    List<@Nullable Object> parts = new ArrayList<>();
    int start = 0;
    int end = text.length();
    while (most < 0 || parts.size() < most) {
      int at =
          fromRight
              ? TextSearch.last(text, mark, end - mark.length())
              : TextSearch.first(text, mark, start);
      if (at < 0 || at + mark.length() > end) {
        break;
      }
      int after = at + mark.length();
      parts.add(fromRight ? text.substring(after, end) : text.substring(start, at));
      if (fromRight) {
        end = at;
      } else {
        start = after;
      }
    }
    parts.add(text.substring(start, end));
    return fromRight ? parts.reversed() : parts;
  }

  private static List<@Nullable Object> splitAtSpaces(String text, int most, boolean fromRight) {
    List<@Nullable Object> parts = new ArrayList<>();
    int start = 0;
    int end = text.length();
    while (true) {
      while (start < end && isSpace(text.charAt(start))) {
        start++;
      }
      while (end > start && isSpace(text.charAt(end - 1))) {
        end--;
      }
      if (start == end) {
        break;
      }
      if (most >= 0 && parts.size() == most) {
        parts.add(text.substring(start, end));
        break;
      }
      int cut = fromRight ? end : start;
      while (fromRight
          ? cut > start && !isSpace(text.charAt(cut - 1))
          : cut < end && !isSpace(text.charAt(cut))) {
        cut += fromRight ? -1 : 1;
      }
      parts.add(fromRight ? text.substring(cut, end) : text.substring(start, cut));
      if (fromRight) {
        end = cut;
      } else {
        start = cut;
      }
    }
    return fromRight ? parts.reversed() : parts;
  }

  /** Lines without their ends, unless those are kept. */
  static List<@Nullable Object> lines(String text, boolean keepEnds, Budget budget) {
    budget.take(text.length());
    List<@Nullable Object> lines = new ArrayList<>();
    int start = 0;
    for (int i = 0; i < text.length(); i++) {
      if (!isLineEnd(text.charAt(i))) {
        continue;
      }
      boolean two = text.startsWith("\r\n", i);
      int after = i + (two ? 2 : 1);
      lines.add(text.substring(start, keepEnds ? after : i));
      start = after;
      i = after - 1;
    }
    if (start < text.length()) {
      lines.add(text.substring(start));
    }
    return lines;
  }

  private static boolean isLineEnd(char c) {
    return (c >= 0x0A && c <= 0x0D)
        || (c >= 0x1C && c <= 0x1E)
        || c == 0x85
        || c == 0x2028
        || c == 0x2029;
  }

  private static Tuple partition(String text, int at, Arguments arguments) {
    String mark = arguments.text(0, "sep");
    return at < 0
        ? new Tuple(List.of(text, "", ""))
        : new Tuple(List.of(text.substring(0, at), mark, text.substring(at + mark.length())));
  }

  static String replace(String text, String old, String with, int most, Budget budget) {
    StringBuilder out = new StringBuilder();
    int start = 0;
    int done = 0;
    while (most < 0 || done < most) {
      int at = old.isEmpty() ? start + (done == 0 ? 0 : 1) : TextSearch.first(text, old, start);
      if (at < 0 || at > text.length()) {
        break;
      }
      int added = at - start + with.length();
      budget.grow((long) out.length() + added, added);
      out.append(text, start, at).append(with);
      start = at + old.length();
      done++;
    }
    budget.grow((long) out.length() + text.length() - start, text.length() - start);
    return out.append(text, start, text.length()).toString();
  }

  static String join(String separator, List<?> items, Budget budget) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < items.size(); i++) {
      if (!(items.get(i) instanceof String item)) {
        throw new TemplateException(
            "sequence item " + i + ": expected str, found " + Values.typeName(items.get(i)));
      }
      int added = separator.length() + item.length();
      budget.grow((long) out.length() + added, added);
      out.append(i == 0 ? "" : separator).append(item);
    }
    return out.toString();
  }

  private static long position(String text, int index) {
    return index < 0 ? -1 : text.codePointCount(0, index);
  }

  private static long found(long position) {
    if (position < 0) {
      throw new TemplateException("substring not found");
    }
    return position;
  }

  private static long count(String text, String part, Budget budget) {
    budget.take(text.length());
    if (part.isEmpty()) {
      return Values.length(text) + 1;
    }
    long count = 0;
    for (int at = TextSearch.first(text, part, 0);
        at >= 0;
        at = TextSearch.first(text, part, at + part.length())) {
      count++;
    }
    return count;
  }

  private static boolean all(String text, IntPredicate test) {
    return !text.isEmpty() && text.codePoints().allMatch(test);
  }

  private static boolean isCased(String text) {
    return text.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }

  private static String zeroFilled(String text, int width, Budget budget) {
    budget.takeString(width);
    String zeros = "0".repeat((int) Math.max(0, width - Values.length(text)));
    boolean signed = text.startsWith("-") || text.startsWith("+");
    return signed ? text.charAt(0) + zeros + text.substring(1) : zeros + text;
  }

  private static String padding(String text, Arguments arguments, Budget budget) {
    int width = arguments.number(0, "width", 0);
    budget.takeString(width);
    Object fill = arguments.get(1, "fillchar", " ");
    if (!(fill instanceof String character) || Values.length(character) != 1) {
      throw new TemplateException("the fill character must be one character");
    }
    return character.repeat((int) Math.max(0, width - Values.length(text)));
  }
}
