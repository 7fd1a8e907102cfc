package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.StrictJson;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads a {@code tokenizer.json} of the tokenizers library. The vocabulary and the merges are read
 * as they stream by, everything else as trees.
 */
final class TokenizerJson {
  private static final ObjectMapper TREES = new ObjectMapper();

  private final Path file;
  private final Map<String, Integer> ids = new HashMap<>();
  private final BitSet usedIds = new BitSet();
  private final List<String> mergeLefts = new ArrayList<>();
  private final List<String> mergeRights = new ArrayList<>();
  private final Map<String, JsonNode> top = new HashMap<>();
  private final Map<String, JsonNode> model = new HashMap<>();

  private TokenizerJson(Path file) {
    this.file = file;
  }

  /** Reads and checks a file. */
  static Tokenizer read(Path file, TokenizerConfig config) throws IOException {
    return read(file, TokenizerLimits.read(file), config);
  }

  /** Reads and checks the bytes of a file, which is named in errors only. */
  static Tokenizer read(Path file, byte[] utf8, TokenizerConfig config) throws IOException {
    TokenizerJson json = new TokenizerJson(file);
    try (JsonParser parser = StrictJson.parser(file, utf8)) {
      parser.nextToken();
      json.readTop(parser);
      json.requireEnd(parser);
    } catch (JsonProcessingException e) {
      throw StrictJson.broken(file, "JSON", e);
    }
    return json.build(config, json.addedTokens());
  }

  /**
   * Reads the older pair of files, which GPT-2 and OPT come with: {@code vocab.json} and {@code
   * merges.txt}, a merge a line.
   */
  static Tokenizer read(Path vocabulary, Path merges, TokenizerConfig config) throws IOException {
    String type = config.tokenizerClass();
    if (!type.isEmpty() && !type.equals("GPT2Tokenizer") && !type.equals("GPT2TokenizerFast")) {
      throw new ModelFormatException(
          config.file(),
          "tokenizer_class",
          "\"" + type + "\" is supported with a tokenizer.json only, not with merges.txt");
    }
    TokenizerJson json = new TokenizerJson(vocabulary);
    try (JsonParser parser = StrictJson.parser(vocabulary, TokenizerLimits.read(vocabulary))) {
      parser.nextToken();
      json.readVocabulary(parser);
      json.requireEnd(parser);
    } catch (JsonProcessingException e) {
      throw StrictJson.broken(vocabulary, "JSON", e);
    }
    String lines = new String(TokenizerLimits.read(merges), UTF_8);
    for (String line :
        lines.lines().filter(l -> !l.isBlank() && !l.startsWith("#version")).toList()) {
      json.addMerge(line, merges.getFileName() + ": \"" + line + "\"");
    }
    JsonNode bytes =
        TREES.createObjectNode().put("type", "ByteLevel").put("add_prefix_space", false);
    json.top.put("pre_tokenizer", bytes);
    json.top.put("decoder", bytes);
    List<AddedToken> added = new ArrayList<>(config.controlTokens(json.ids));
    return json.build(config, added);
  }

  private void requireEnd(JsonParser parser) throws IOException {
    if (parser.nextToken() != null) {
      throw new ModelFormatException(file, "JSON", "text after the object");
    }
  }

  private void readTop(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      JsonToken value = parser.nextToken();
      if (name.equals("model") && value == JsonToken.START_OBJECT) {
        readModel(parser);
      } else {
        top.put(name, TREES.readTree(parser));
      }
    }
  }

  private void readModel(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String name = parser.currentName();
      JsonToken value = parser.nextToken();
      if (name.equals("vocab") && value == JsonToken.START_OBJECT) {
        readVocabulary(parser);
      } else if (name.equals("merges") && value == JsonToken.START_ARRAY) {
        readMerges(parser);
      } else {
        model.put(name, TREES.readTree(parser));
      }
    }
  }

  private void readVocabulary(JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String token = parser.currentName();
      if (parser.nextToken() != JsonToken.VALUE_NUMBER_INT) {
        throw refused("model.vocab", "expected an integer for each token");
      }
      addId(token, parser.getLongValue(), "model.vocab");
    }
  }

  private void addId(String token, long id, String field) throws ModelFormatException {
    TokenizerLimits.checkToken(file, field, token);
    if (id < 0 || id >= TokenizerLimits.MAX_TOKENS) {
      throw refused(
          field, "an id from 0 to " + (TokenizerLimits.MAX_TOKENS - 1) + " expected, found " + id);
    }
    if (usedIds.get((int) id)) {
      throw refused(field, "two tokens with the id " + id);
    }
    usedIds.set((int) id);
    ids.put(token, (int) id);
  }

  private void readMerges(JsonParser parser) throws IOException {
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      String field = "model.merges[" + mergeLefts.size() + "]";
      if (parser.currentToken() == JsonToken.VALUE_STRING) {
        addMerge(parser.getText(), field);
      } else if (parser.currentToken() == JsonToken.START_ARRAY) {
        String left = parser.nextTextValue();
        String right = parser.nextTextValue();
        if (left == null || right == null || parser.nextToken() != JsonToken.END_ARRAY) {
          throw refused(field, "expected two strings");
        }
        addMerge(left, right, field);
      } else {
        throw refused(field, "expected a string or two");
      }
    }
  }

  private void addMerge(String merge, String field) throws ModelFormatException {
    int space = merge.indexOf(' ');
    if (space < 0 || merge.indexOf(' ', space + 1) >= 0) {
      throw refused(field, "expected two tokens with a space between them");
    }
    addMerge(merge.substring(0, space), merge.substring(space + 1), field);
  }

  private void addMerge(String left, String right, String field) throws ModelFormatException {
    if (mergeLefts.size() == TokenizerLimits.MAX_MERGES) {
      throw refused(field, "more than " + TokenizerLimits.MAX_MERGES + " merges");
    }
    mergeLefts.add(left);
    mergeRights.add(right);
  }

  private Tokenizer build(TokenizerConfig config, List<AddedToken> added)
      throws ModelFormatException {
    String type = text(field(model, "type"), "BPE");
    if (!type.equals("BPE")) {
      throw refused("model.type", "the model " + type + " is not supported, only BPE");
    }
    for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
      if (!text(field(model, affix), "").isEmpty()) {
        throw refused("model." + affix, "not supported");
      }
    }
    if (field(model, "dropout").asDouble() != 0) {
      throw refused("model.dropout", "not supported");
    }
    boolean byteFallback = flag("byte_fallback");
    if (byteFallback) {
      requireByteTokens();
    }
    MergeTable merges = new MergeTable(mergeLefts.size());
    for (int i = 0; i < mergeLefts.size(); i++) {
      String left = mergeLefts.get(i);
      String right = mergeRights.get(i);
      merges.put(mergeId(left, i), mergeId(right, i), i, mergeId(left + right, i));
    }
    String unknown = text(field(model, "unk_token"), "");
    if (!unknown.isEmpty() && !ids.containsKey(unknown)) {
      throw refused("model.unk_token", "\"" + unknown + "\" is not in the vocabulary");
    }
    BytePairModel.Rules rules =
        new BytePairModel.Rules(
            flag("ignore_merges"),
            byteFallback,
            ids.getOrDefault(unknown, BytePairModel.NONE),
            flag("fuse_unk"));
    BytePairModel pairs = new BytePairModel(Map.copyOf(ids), merges, rules);

    TokenizerSteps steps = new TokenizerSteps(file);
    List<Integer> prefix = steps.prefix(field(top, "post_processor"));
    for (int id : prefix) {
      if (id < 0 || !usedIds.get(id)) {
        throw refused("post_processor.special_tokens", "no token has the id " + id);
      }
    }
    return new BytePairTokenizer(
        new BytePairTokenizer.Parts(
            ids,
            added,
            steps.normalizer(field(top, "normalizer")),
            steps.preTokenizers(field(top, "pre_tokenizer")),
            pairs,
            steps.decoding(field(top, "decoder")),
            config.prefix(prefix, ids)));
  }

  private void requireByteTokens() throws ModelFormatException {
    BitSet bytes = new BitSet(256);
    for (String token : ids.keySet()) {
      int value = SentencePieceModel.byteOf(token);
      if (value >= 0) {
        bytes.set(value);
      }
    }
    if (bytes.cardinality() != 256) {
      throw refused("model.byte_fallback", "needs 256 byte tokens, found " + bytes.cardinality());
    }
  }

  private int mergeId(String token, int merge) throws ModelFormatException {
    Integer id = ids.get(token);
    if (id == null) {
      throw refused("model.merges[" + merge + "]", "\"" + token + "\" is not in the vocabulary");
    }
    return id;
  }

  private List<AddedToken> addedTokens() throws ModelFormatException {
    JsonNode list = field(top, "added_tokens");
    if (!list.isArray() && !list.isMissingNode() && !list.isNull()) {
      throw refused("added_tokens", "expected a list");
    }
    List<AddedToken> added = new ArrayList<>();
    for (JsonNode node : list) {
      String field = "added_tokens[" + added.size() + "]";
      if (!node.path("id").canConvertToInt() || !node.path("id").isIntegralNumber()) {
        throw refused(field + ".id", "expected an integer");
      }
      AddedToken token = addedToken(file, field, node.path("id").intValue(), node);
      Integer known = ids.get(token.content());
      if (known == null) {
        addId(token.content(), token.id(), field);
      } else if (known != token.id()) {
        throw refused(
            field + ".id", "\"" + token.content() + "\" has the id " + known + " already");
      }
      added.add(token);
    }
    return added;
  }

  /** Reads the description of an added token. */
  static AddedToken addedToken(Path file, String field, int id, JsonNode node)
      throws ModelFormatException {
    JsonNode content = node.path("content");
    if (!content.isTextual()) {
      throw new ModelFormatException(file, field + ".content", "expected a string");
    }
    TokenizerLimits.checkToken(file, field + ".content", content.textValue());
    boolean special = node.path("special").asBoolean();
    return new AddedToken(
        id,
        content.textValue(),
        node.path("single_word").asBoolean(),
        node.path("lstrip").asBoolean(),
        node.path("rstrip").asBoolean(),
        node.path("normalized").asBoolean(!special),
        special);
  }

  private static JsonNode field(Map<String, JsonNode> fields, String name) {
    return fields.getOrDefault(name, MissingNode.getInstance());
  }

  private static String text(JsonNode node, String absent) {
    return node.asText().isEmpty() || node.isNull() ? absent : node.asText();
  }

  private boolean flag(String name) {
    return field(model, name).asBoolean();
  }

  private ModelFormatException refused(String field, String problem) {
    return new ModelFormatException(file, field, problem);
  }
}
