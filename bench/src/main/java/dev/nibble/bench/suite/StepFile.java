package dev.nibble.bench.suite;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nibble.bench.result.StepRound;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A file of steps: a JSON list of objects. A list in the place of a value stands for a step with
 * each of its elements, several lists for every combination. {@code {"again": ["product"]}} does
 * every product that stands before it once more: what is measured at several times of a run shows
 * what runs differ by.
 */
final class StepFile {
  private static final ObjectMapper JSON = JsonMapper.builder().build();
  private static final String AGAIN = "again";
  private static final int HASH_BYTES = 4;

  private StepFile() {}

  /**
   * Reads steps.
   *
   * @param name of the file, for errors
   * @param text its contents
   * @return the steps in order
   * @throws IOException if it is no list of steps
   */
  static List<PlannedStep> parse(String name, String text) throws IOException {
    Map<String, PlannedStep> known = new LinkedHashMap<>();
    List<PlannedStep> steps = new ArrayList<>();
    try {
      for (JsonNode entry : JSON.readTree(text)) {
        if (!(entry instanceof ObjectNode object)) {
          throw new IOException(name + ": expected objects, found " + entry);
        }
        List<PlannedStep> next =
            object.has(AGAIN) ? again(name, object.path(AGAIN), known) : steps(object);
        next.forEach(step -> known.put(step.text(), step));
        steps.addAll(next);
      }
    } catch (JsonProcessingException e) {
      throw new IOException(name + ": " + e.getOriginalMessage(), e);
    }
    if (steps.isEmpty()) {
      throw new IOException(name + ": no steps");
    }
    return steps;
  }

  private static List<PlannedStep> steps(ObjectNode object) throws JsonProcessingException {
    List<PlannedStep> steps = new ArrayList<>();
    for (ObjectNode single : expanded(object)) {
      String text = single.toString();
      steps.add(
          new PlannedStep(
              new StepRound(hash(text), 1), text, JSON.treeToValue(single, Step.class)));
    }
    return steps;
  }

  /** The next round of every step whose {@code run} is listed. */
  private static List<PlannedStep> again(
      String name, JsonNode kinds, Map<String, PlannedStep> known) throws IOException {
    List<String> wanted = elements(kinds).stream().map(JsonNode::asText).toList();
    List<PlannedStep> steps = new ArrayList<>();
    for (PlannedStep step : known.values()) {
      if (wanted.contains(JSON.readTree(step.text()).path("run").asText())) {
        StepRound next = new StepRound(step.name().step(), step.name().round() + 1);
        steps.add(new PlannedStep(next, step.text(), step.step()));
      }
    }
    if (steps.isEmpty()) {
      throw new IOException(name + ": no step before 'again' is one of " + wanted);
    }
    return steps;
  }

  /** Short enough to stand beside every figure. */
  private static String hash(String text) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, HASH_BYTES);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
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
