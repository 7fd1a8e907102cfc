package dev.nibble.bench.suite;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file of steps: a JSON list of objects. A list in the place of a value stands for a step with
 * each of its elements, several lists for every combination.
 */
final class StepFile {
  private static final ObjectMapper JSON = JsonMapper.builder().build();

  private StepFile() {}

  /**
   * Reads steps.
   *
   * @param name of the file, for errors
   * @param text its contents
   * @return the steps in order, each by a name of its own that the next run finds it by
   * @throws IOException if it is no list of steps
   */
  static Map<String, Step> parse(String name, String text) throws IOException {
    Map<String, Step> steps = new LinkedHashMap<>();
    try {
      for (JsonNode entry : JSON.readTree(text)) {
        if (!(entry instanceof ObjectNode object)) {
          throw new IOException(name + ": expected objects, found " + entry);
        }
        for (ObjectNode single : expanded(object)) {
          steps.put(single.toString(), JSON.treeToValue(single, Step.class));
        }
      }
    } catch (JsonProcessingException e) {
      throw new IOException(name + ": " + e.getOriginalMessage(), e);
    }
    if (steps.isEmpty()) {
      throw new IOException(name + ": no steps");
    }
    return steps;
  }

  /** Takes the first list apart, then what comes of it. */
  private static List<ObjectNode> expanded(ObjectNode object) {
    for (Map.Entry<String, JsonNode> field : object.properties()) {
      JsonNode value = field.getValue();
      if (value.isArray()) {
        return each(object, field.getKey(), elements(value));
      }
      if (value instanceof ObjectNode inner) {
        List<ObjectNode> inners = expanded(inner);
        if (inners.size() > 1) {
          return each(object, field.getKey(), inners);
        }
      }
    }
    return List.of(object);
  }

  private static List<ObjectNode> each(
      ObjectNode object, String field, List<? extends JsonNode> values) {
    List<ObjectNode> result = new ArrayList<>();
    for (JsonNode value : values) {
      ObjectNode copy = object.deepCopy();
      copy.set(field, value);
      result.addAll(expanded(copy));
    }
    return result;
  }

  private static List<JsonNode> elements(JsonNode list) {
    List<JsonNode> elements = new ArrayList<>();
    list.forEach(elements::add);
    return elements;
  }
}
