package dev.nibble.runtime.generate.jinja;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TemplateTest {
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2024-07-26T15:04:05Z"), ZoneOffset.UTC);
  private static final Path CONSTRUCTS =
      Path.of(
          System.getProperty("project.root"), "runtime/src/test/resources/jinja/constructs.json");
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  private static String render(String source) {
    return Template.of(source, CLOCK).render(Map.of("w", "abc"));
  }

  @Test
  void rendersWhatJinja2Renders() throws IOException {
    JsonNode file = new ObjectMapper().readTree(CONSTRUCTS.toFile());
    Map<String, Object> variables = new LinkedHashMap<>();
    file.get("variables").properties().forEach(e -> variables.put(e.getKey(), value(e.getValue())));
    assertFalse(file.get("cases").isEmpty());
    for (JsonNode construct : file.get("cases")) {
      String source = construct.get("template").textValue();
      if (construct.has("fails")) {
        assertThrows(
            TemplateException.class, () -> Template.of(source, CLOCK).render(variables), source);
      } else {
        String rendered = Template.of(source, CLOCK).render(variables);
        assertEquals(construct.get("rendered").textValue(), rendered, source);
      }
    }
  }

  private static Object value(JsonNode node) {
    return switch (node.getNodeType()) {
      case STRING -> node.textValue();
      case BOOLEAN -> node.booleanValue();
      case NUMBER ->
          node.isIntegralNumber() ? (Object) node.longValue() : (Object) node.doubleValue();
      case ARRAY -> {
        List<Object> list = new ArrayList<>();
        node.forEach(item -> list.add(value(item)));
        yield list;
      }
      case OBJECT -> {
        Map<String, Object> map = new LinkedHashMap<>();
        node.properties().forEach(e -> map.put(e.getKey(), value(e.getValue())));
        yield map;
      }
      default -> null;
    };
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ range(10 ** 12)|length }}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ ([1] * 10 ** 12)|length }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}"
            + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
            + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}"
            + "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}"
            + "{{ ns.x == ns.y }}",
        "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
        "{% macro m(n) %}{% if n > 1 %}{{ m(n - 1) }}{{ m(n - 2) }}{% endif %}{% endmacro %}"
            + "{{ m(60) }}",
        "{% set ns = namespace(l=[]) %}{% set big = 'a' * 1000000 %}{% for i in range(99999) %}"
            + "{% set ns.l = ns.l + [big ~ i] %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% set y = x.title() %}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% set y = x[::-1] %}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% set y = 'a' * 500000 ~ 'b' %}{% for i in range(99999) %}"
            + "{% if y in x %}{% endif %}{% endfor %}",
        "{{ range(99999)|unique|list }}",
        "{{ '\u00e9' * 600000 }}",
      })
  void stopsWhatTakesTooMuch(String source) {
    Template template = Template.of(source, CLOCK);
    long start = System.nanoTime();
    assertThrows(TemplateException.class, () -> template.render(Map.of()));
    double seconds = (System.nanoTime() - start) * 1e-9;
    assertTrue(seconds < 3, "1 s and some slack for a busy machine; took " + seconds + " s");
  }

  @Test
  void stopsWhatIsTooDeepOrTooLong() {
    for (String source :
        List.of(
            "{{ " + "(".repeat(50_000) + " }}",
            "{{ " + "(".repeat(70) + "1" + ")".repeat(70) + " }}",
            "{{ " + "not ".repeat(1_000) + "1 }}",
            "{{ 1" + " + 1".repeat(20_000) + " }}",
            "{% if 1 %}".repeat(5_000) + "{% endif %}".repeat(5_000),
            "a".repeat(1 << 20))) {
      assertThrows(TemplateException.class, () -> render(source));
    }
    assertEquals("901", render("{{ 1" + " + 1".repeat(900) + " }}"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends '/etc/passwd' %}",
        "{{ w.getClass() }}",
        "{{ w.__class__.__mro__ }}",
        "{{ [].append(1) }}",
        "{{ ____int3rpr3t3r____.getConfig() }}",
        "{{ request() }}",
        "{% unless w %}{% endunless %}",
        "{{ }}",
        "{% %}",
      })
  void reachesNothingOutside(String source) {
    assertThrows(TemplateException.class, () -> render(source));
  }

  @Test
  void refusesOrUnderstandsDamagedTemplates() {
    String source =
        """
        {%- macro m(x, y='q') -%} {{ x }}{{ y|upper }} {%- endmacro %}
        {%- for k, v in {'a': [1, 2], 'b': {}}.items() if v %}{# note #}
          {%- set ns = namespace(n=0) %}{{- m(k) ~ '}}' if v is iterable else v|tojson }}
        {%- else %}none{% endfor %}{% raw %}{{ x }}{% endraw %}
        """;
    assertEquals("aQ}}{{ x }}", render(source));
    Random random = new Random(SEED);
    for (int i = 0; i < source.length(); i++) {
      String cut = source.substring(0, i);
      char flipped = (char) (source.charAt(i) ^ (1 << random.nextInt(7)));
      String changed = cut + flipped + source.substring(i + 1);
      for (String damaged : List.of(cut, changed)) {
        try {
          render(damaged);
        } catch (TemplateException e) {
          assertFalse(e.getMessage().isEmpty(), () -> damaged + "\nseed " + SEED);
        }
      }
    }
  }
}
