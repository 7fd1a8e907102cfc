package dev.nibble.runtime.generate.jinja;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.time.Clock;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A compiled template. Immutable and thread-safe.
 *
 * <p>Limits: 256 K characters of source, 1 MB of output, 1 s of rendering, 64 M characters and list
 * items made on the way. The functions are jinja2's {@code range}, {@code dict} and {@code
 * namespace} and those that transformers adds.
 */
public final class Template {
  private static final int MAX_SOURCE = 256 << 10;
  private static final int MAX_RANGE = 100_000;

  private final List<Statement> statements;
  private final Clock clock;

  private Template(List<Statement> statements, Clock clock) {
    this.statements = statements;
    this.clock = clock;
  }

  /**
   * Compiles a source.
   *
   * @param source the template
   * @param clock what {@code strftime_now} reads
   * @return the template
   * @throws TemplateException if it is wrong
   */
  public static Template of(String source, Clock clock) {
    if (source.length() > MAX_SOURCE) {
      throw new TemplateException("a template of more than " + MAX_SOURCE + " characters");
    }
    try {
      return new Template(TemplateCompiler.compile(source), clock);
    } catch (StackOverflowError e) {
      throw new TemplateException("the template is nested too deep");
    }
  }

  /**
   * Renders the template.
   *
   * @param variables null, Boolean, Long, Double, String, and List and Map of these
   * @return the text
   * @throws TemplateException if it is wrong, exceeds a limit or raises an exception of its own
   */
  public String render(Map<String, ?> variables) {
    Budget budget = new Budget();
    Scope globals = Scope.root(budget);
    globals.set("range", (Callable) arguments -> range(arguments, budget));
    globals.set("namespace", (Callable) arguments -> new Namespace(map(arguments)));
    globals.set("dict", (Callable) Template::map);
    globals.set("raise_exception", (Callable) arguments -> raise(arguments, budget));
    globals.set(
        "strftime_now",
        (Callable)
            arguments -> Strftime.format(ZonedDateTime.now(clock), arguments.text(0, "format")));
    Scope scope = globals.inner();
    variables.forEach(scope::set);
    StringBuilder out = new StringBuilder();
    try {
      Statement.renderAll(statements, scope, out);
    } catch (StackOverflowError e) {
      throw new TemplateException("the template is nested too deep");
    }
    String text = out.toString();
    if (text.getBytes(UTF_8).length > Budget.OUTPUT_BYTES) {
      throw new TemplateException("the template makes a text of more than 1 MB");
    }
    return text;
  }

  private static List<@Nullable Object> range(Arguments arguments, Budget budget) {
    boolean one = arguments.count() == 1;
    long start = one ? 0 : Values.integer(arguments.get(0, "start"));
    long stop = Values.integer(arguments.get(one ? 0 : 1, "stop"));
    long step = Values.integer(arguments.get(2, "step", 1L));
    if (step == 0) {
      throw new TemplateException("range() arg 3 must not be zero");
    }
    List<@Nullable Object> range = new ArrayList<>();
    for (long i = start; step > 0 ? i < stop : i > stop; i = Math.addExact(i, step)) {
      if (range.size() == MAX_RANGE) {
        throw new TemplateException("Range too big. At most " + MAX_RANGE + " items.");
      }
      budget.take(1);
      range.add(i);
    }
    return range;
  }

  private static Map<String, @Nullable Object> map(Arguments arguments) {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    if (arguments.count() > 0 && arguments.positional().getFirst() instanceof Map<?, ?> given) {
      given.forEach((key, value) -> map.put(String.valueOf(key), value));
    }
    map.putAll(arguments.named());
    return map;
  }

  private static Object raise(Arguments arguments, Budget budget) {
    throw new TemplateException(Values.text(arguments.get(0, "message"), budget));
  }
}
