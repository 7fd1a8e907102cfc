package dev.nibble.quantizer.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.StrictJson;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * What a model folder says beside its vocabulary: {@code tokenizer_config.json}, and for what it
 * lacks {@code special_tokens_map.json} and {@code added_tokens.json}. Immutable.
 */
public final class TokenizerConfig {
  private static final String FILE = "tokenizer_config.json";
  private static final String OLDER_FILE = "special_tokens_map.json";

  private final Path file;
  private final Map<String, String> controlTokens = new LinkedHashMap<>();
  private final Map<String, String> chatTemplates = new LinkedHashMap<>();
  private final List<AddedToken> addedTokens = new ArrayList<>();
  private final Optional<Boolean> addsBos;
  private final String tokenizerClass;

  private TokenizerConfig(Path folder) throws IOException {
    file = folder.resolve(FILE);
    ObjectNode config = read(file);
    addsBos = flag(config, "add_bos_token");
    tokenizerClass = config.path("tokenizer_class").asText();
    readControlTokens(file, config);
    readControlTokens(folder.resolve(OLDER_FILE), read(folder.resolve(OLDER_FILE)));
    readChatTemplates(config.path("chat_template"));
    readAddedTokens(config.path("added_tokens_decoder"));
    if (addedTokens.isEmpty()) {
      readOlderAddedTokens(folder.resolve("added_tokens.json"));
    }
  }

  /**
   * Reads the files of a folder; a file that is not there says nothing.
   *
   * @param folder a Hugging Face model folder
   * @return what they say
   * @throws ModelFormatException if a file is damaged
   * @throws IOException if a file cannot be read
   */
  public static TokenizerConfig open(Path folder) throws IOException {
    return new TokenizerConfig(folder);
  }

  /**
   * The text of a control token.
   *
   * @param role such as {@code bos_token} or {@code eos_token}
   * @return its text, or empty if the model has none
   */
  public Optional<String> controlToken(String role) {
    return Optional.ofNullable(controlTokens.get(role));
  }

  /**
   * The chat templates of tokenizer_config.json.
   *
   * @return Jinja sources by name; a single one is named {@code default}
   */
  public Map<String, String> chatTemplates() {
    return Collections.unmodifiableMap(chatTemplates);
  }

  /**
   * The file, for messages.
   *
   * @return its path, whether it is there or not
   */
  public Path file() {
    return file;
  }

  /**
   * The tokens that begin a text: what the config says, else what the vocabulary's file does.
   *
   * @param own what the vocabulary's file says
   * @param ids of the tokens
   */
  List<Integer> prefix(List<Integer> own, Map<String, Integer> ids) throws ModelFormatException {
    if (addsBos.isEmpty()) {
      return own;
    }
    if (!addsBos.get()) {
      return List.of();
    }
    if (!own.isEmpty()) {
      return own;
    }
    Integer bos = ids.get(controlTokens.get("bos_token"));
    if (bos == null) {
      throw new ModelFormatException(
          file, "add_bos_token", "true, but bos_token is not a token of the vocabulary");
    }
    return List.of(bos);
  }

  /** The class transformers loads it with, or nothing. */
  String tokenizerClass() {
    return tokenizerClass;
  }

  /** The control tokens that are in a vocabulary. */
  List<AddedToken> controlTokens(Map<String, Integer> ids) {
    return controlTokens.values().stream()
        .distinct()
        .filter(ids::containsKey)
        .map(token -> AddedToken.control(ids.getOrDefault(token, 0), token))
        .toList();
  }

  /** Tokens beyond the vocabulary, for folders without a tokenizer.json. */
  List<AddedToken> addedTokens() {
    return Collections.unmodifiableList(addedTokens);
  }

  private static ObjectNode read(Path file) throws IOException {
    if (!Files.exists(file)) {
      return JsonNodeFactory.instance.objectNode();
    }
    return StrictJson.object(file, TokenizerLimits.read(file));
  }

  private void readControlTokens(Path from, ObjectNode config) throws ModelFormatException {
    for (String role : List.of("bos_token", "eos_token", "unk_token", "pad_token")) {
      JsonNode value = config.path(role);
      JsonNode text = value.isObject() ? value.path("content") : value;
      if (text.isMissingNode() || text.isNull()) {
        continue;
      }
      if (!text.isTextual()) {
        throw new ModelFormatException(from, role, "expected a string, found " + kind(text));
      }
      controlTokens.putIfAbsent(role, text.textValue());
    }
  }

  private void readChatTemplates(JsonNode value) throws ModelFormatException {
    if (value.isTextual()) {
      chatTemplates.put("default", value.textValue());
    } else if (value.isArray()) {
      for (JsonNode named : value) {
        if (!named.path("name").isTextual() || !named.path("template").isTextual()) {
          throw wrong("chat_template", "expected objects with a name and a template", named);
        }
        chatTemplates.put(named.path("name").textValue(), named.path("template").textValue());
      }
    } else if (!value.isMissingNode() && !value.isNull()) {
      throw wrong("chat_template", "expected a string or a list", value);
    }
  }

  private void readAddedTokens(JsonNode value) throws ModelFormatException {
    for (Map.Entry<String, JsonNode> entry : value.properties()) {
      String field = "added_tokens_decoder." + entry.getKey();
      int id;
      try {
        id = Integer.parseInt(entry.getKey());
      } catch (NumberFormatException e) {
        throw new ModelFormatException(file, field, "expected a token id as the name", e);
      }
      addedTokens.add(TokenizerJson.addedToken(file, field, id, entry.getValue()));
    }
  }

  private void readOlderAddedTokens(Path from) throws IOException {
    for (Map.Entry<String, JsonNode> entry : read(from).properties()) {
      String token = entry.getKey();
      TokenizerLimits.checkToken(from, "a token", token);
      if (!entry.getValue().canConvertToInt()) {
        throw new ModelFormatException(from, token, "expected an id");
      }
      boolean control = controlTokens.containsValue(token);
      int id = entry.getValue().intValue();
      addedTokens.add(new AddedToken(id, token, false, false, false, false, control));
    }
  }

  private Optional<Boolean> flag(ObjectNode config, String field) throws ModelFormatException {
    JsonNode value = config.path(field);
    if (value.isMissingNode() || value.isNull()) {
      return Optional.empty();
    }
    if (!value.isBoolean()) {
      throw wrong(field, "expected true or false", value);
    }
    return Optional.of(value.booleanValue());
  }

  private ModelFormatException wrong(String field, String expected, JsonNode found) {
    return new ModelFormatException(file, field, expected + ", found " + kind(found));
  }

  private static String kind(JsonNode node) {
    return node.getNodeType().toString().toLowerCase(Locale.ROOT);
  }
}
