package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Checked access to the fields of a JSON object. It remembers which fields were asked for, so that
 * {@link #refuseUnknown} can refuse what nobody understood. A null counts as absent.
 */
final class ConfigFields {
  private final Path file;
  private final String prefix;
  private final ObjectNode node;
  private final Set<String> known = new HashSet<>();

  ConfigFields(Path file, ObjectNode node) {
    this(file, "", node);
  }

  private ConfigFields(Path file, String prefix, ObjectNode node) {
    this.file = file;
    this.prefix = prefix;
    this.node = node;
  }

  boolean has(String name) {
    return find(name).isPresent();
  }

  /** Whether the field is written out, if only as null. */
  boolean mentions(String name) {
    return node.has(name);
  }

  /** An integer from 1 to a limit. */
  int size(String name, int limit) throws ModelFormatException {
    return (int) integer(name, 1, limit);
  }

  /** An integer from 1 to a limit, or the value an absent field stands for. */
  int size(String name, int limit, int absent) throws ModelFormatException {
    return has(name) ? size(name, limit) : absent;
  }

  long integer(String name, long from, long to) throws ModelFormatException {
    JsonNode value = required(name, "an integer");
    if (!value.isIntegralNumber()
        || !value.canConvertToLong()
        || value.longValue() < from
        || value.longValue() > to) {
      throw problem(name, "expected an integer from " + from + " to " + to + ", found " + value);
    }
    return value.longValue();
  }

  /** A finite number above 0. */
  double positive(String name) throws ModelFormatException {
    JsonNode value = required(name, "a number");
    if (!value.isNumber()
        || !(value.doubleValue() > 0)
        || value.doubleValue() == Double.POSITIVE_INFINITY) {
      throw problem(name, "expected a finite number above 0, found " + value);
    }
    return value.doubleValue();
  }

  double positive(String name, double absent) throws ModelFormatException {
    return has(name) ? positive(name) : absent;
  }

  boolean flag(String name, boolean absent) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isPresent() && !value.get().isBoolean()) {
      throw problem(name, "expected true or false, found " + value.get());
    }
    return value.map(JsonNode::booleanValue).orElse(absent);
  }

  Optional<String> text(String name) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isPresent() && !value.get().isTextual()) {
      throw problem(name, "expected a string, found " + value.get());
    }
    return value.map(JsonNode::textValue);
  }

  String requiredText(String name) throws ModelFormatException {
    required(name, "a string");
    return text(name).orElseThrow();
  }

  /** An array of strings; empty when absent. */
  List<String> texts(String name) throws ModelFormatException {
    List<String> texts = new ArrayList<>();
    for (JsonNode value : array(name)) {
      if (!value.isTextual()) {
        throw problem(name, "expected strings, found " + value);
      }
      texts.add(value.textValue());
    }
    return texts;
  }

  /** One token id, or an array of them; empty when absent. */
  List<Integer> ids(String name) throws ModelFormatException {
    Optional<JsonNode> single = find(name).filter(value -> !value.isArray());
    List<Integer> ids = new ArrayList<>();
    for (JsonNode id : single.isPresent() ? List.of(single.get()) : array(name)) {
      if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
        throw problem(name, "expected token ids, found " + id);
      }
      ids.add(id.intValue());
    }
    return ids;
  }

  Optional<ConfigFields> object(String name) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isEmpty()) {
      return Optional.empty();
    }
    if (!(value.get() instanceof ObjectNode object)) {
      throw problem(name, "expected an object, found " + value.get());
    }
    return Optional.of(new ConfigFields(file, prefix + name + ".", object));
  }

  /** The names of all fields, for an object whose names are free. */
  List<String> names() {
    List<String> names = new ArrayList<>();
    node.fieldNames().forEachRemaining(names::add);
    return names;
  }

  /** Refuses a field that is there with another value than the ones that change nothing. */
  void mustBe(String name, String... supported) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isPresent() && !Arrays.asList(supported).contains(value.get().asText())) {
      throw problem(name, "expected " + String.join(" or ", supported) + ", found " + value.get());
    }
  }

  /** Refuses a field that is there with another number. */
  void mustBe(String name, double supported) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isPresent() && !(value.get().isNumber() && value.get().doubleValue() == supported)) {
      throw problem(name, "expected " + supported + ", found " + value.get());
    }
  }

  /** Says that these fields need not be understood. */
  void ignore(Collection<String> names) {
    known.addAll(names);
  }

  /** Refuses fields nobody asked for, unless they are null, false or empty. */
  void refuseUnknown() throws ModelFormatException {
    for (Map.Entry<String, JsonNode> field : node.properties()) {
      JsonNode value = field.getValue();
      if (!known.contains(field.getKey()) && !isAbsentInEffect(value)) {
        throw problem(
            field.getKey(),
            "unknown field, and it may change the arithmetic; found " + abbreviated(value));
      }
    }
  }

  ModelFormatException problem(String name, String problem) {
    return new ModelFormatException(file, prefix + name, problem);
  }

  private static boolean isAbsentInEffect(JsonNode value) {
    return switch (value.getNodeType()) {
      case NULL -> true;
      case BOOLEAN -> !value.booleanValue();
      case STRING -> value.textValue().isEmpty();
      case ARRAY, OBJECT -> value.isEmpty();
      case NUMBER, BINARY, MISSING, POJO -> false;
    };
  }

  private static String abbreviated(JsonNode value) {
    String text = value.toString();
    return text.length() <= 80 ? text : text.substring(0, 80) + "...";
  }

  private Iterable<JsonNode> array(String name) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isPresent() && !(value.get() instanceof ArrayNode)) {
      throw problem(name, "expected an array, found " + value.get());
    }
    return value.isPresent() ? value.get() : List.of();
  }

  private JsonNode required(String name, String what) throws ModelFormatException {
    Optional<JsonNode> value = find(name);
    if (value.isEmpty()) {
      throw problem(name, "expected " + what + ", found none");
    }
    return value.get();
  }

  private Optional<JsonNode> find(String name) {
    known.add(name);
    return Optional.ofNullable(node.get(name)).filter(value -> !value.isNull());
  }
}
