package dev.nibble.quantizer.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.nibble.quantizer.format.ModelFormatException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Reads the steps around the model of a {@code tokenizer.json}; refuses what it does not know. */
final class TokenizerSteps {
  private static final String SPACE_SYMBOL = String.valueOf(SentencePieceTokenizer.SPACE_SYMBOL);

  private final Path file;

  TokenizerSteps(Path file) {
    this.file = file;
  }

  UnaryOperator<String> normalizer(JsonNode node) throws ModelFormatException {
    if (isAbsent(node)) {
      return text -> text;
    }
    String type = node.path("type").asText();
    switch (type) {
      case "NFC" -> {
        return CanonicalComposition::compose;
      }
      case "Prepend" -> {
        String prefix = node.path("prepend").asText();
        return text -> text.isEmpty() ? text : prefix + text;
      }
      case "Replace" -> {
        JsonNode pattern = node.path("pattern").path("String");
        if (!pattern.isTextual() || pattern.textValue().isEmpty()) {
          throw refused("normalizer.pattern", "only a String pattern is supported");
        }
        String content = node.path("content").asText();
        return text -> text.replace(pattern.textValue(), content);
      }
      case "Sequence" -> {
        List<UnaryOperator<String>> steps = new ArrayList<>();
        for (JsonNode step : node.path("normalizers")) {
          steps.add(normalizer(step));
        }
        return text -> {
          String result = text;
          for (UnaryOperator<String> step : steps) {
            result = step.apply(result);
          }
          return result;
        };
      }
      default -> throw unsupported("normalizer", type);
    }
  }

  List<PreTokenizer> preTokenizers(JsonNode node) throws ModelFormatException {
    List<PreTokenizer> steps = new ArrayList<>();
    if (!isAbsent(node)) {
      addPreTokenizers(node, steps);
    }
    return List.copyOf(steps);
  }

  private void addPreTokenizers(JsonNode node, List<PreTokenizer> steps)
      throws ModelFormatException {
    String type = node.path("type").asText();
    switch (type) {
      case "ByteLevel" -> {
        if (node.path("add_prefix_space").asBoolean(true)) {
          steps.add(new PreTokenizer.PrefixSpace());
        }
        if (node.path("use_regex").asBoolean(true)) {
          steps.add(new PreTokenizer.Pattern(WordPattern.GPT2));
        }
        steps.add(new PreTokenizer.ByteLevel());
      }
      case "Split" -> steps.add(new PreTokenizer.Pattern(pattern(node)));
      case "Metaspace" -> steps.add(metaspace(node, "pre_tokenizer"));
      case "Sequence" -> {
        for (JsonNode step : node.path("pretokenizers")) {
          addPreTokenizers(step, steps);
        }
      }
      default -> throw unsupported("pre_tokenizer", type);
    }
  }

  private WordPattern pattern(JsonNode node) throws ModelFormatException {
    String regex = node.path("pattern").path("Regex").asText();
    WordPattern pattern =
        WordPattern.of(regex)
            .orElseThrow(() ->
                refused(
                    "pre_tokenizer.pattern",
                    "the expression "
                        + node.path("pattern")
                        + " is not one of GPT-2's, Llama 3's and Qwen 2's"));
    boolean isolated = node.path("behavior").asText().equals("Isolated");
    if (!isolated || node.path("invert").asBoolean()) {
      throw refused("pre_tokenizer.behavior", "only Isolated, not inverted, is supported");
    }
    return pattern;
  }

  private PreTokenizer.Metaspace metaspace(JsonNode node, String field)
      throws ModelFormatException {
    if (!node.path("replacement").asText(SPACE_SYMBOL).equals(SPACE_SYMBOL)) {
      throw refused(field + ".replacement", "only U+2581 is supported");
    }
    String older = node.path("add_prefix_space").asBoolean(true) ? "always" : "never";
    String scheme = node.path("prepend_scheme").asText(older);
    PreTokenizer.Metaspace.Prepend prepend =
        switch (scheme) {
          case "always" -> PreTokenizer.Metaspace.Prepend.ALWAYS;
          case "first" -> PreTokenizer.Metaspace.Prepend.FIRST;
          case "never" -> PreTokenizer.Metaspace.Prepend.NEVER;
          default -> throw unsupported(field + ".prepend_scheme", scheme);
        };
    return new PreTokenizer.Metaspace(
        SentencePieceTokenizer.SPACE_SYMBOL, prepend, node.path("split").asBoolean(true));
  }

  TokenDecoding decoding(JsonNode node) throws ModelFormatException {
    String type = isAbsent(node) ? "none" : node.path("type").asText();
    return switch (type) {
      case "ByteLevel" -> TokenDecoding.BYTE_LEVEL;
      case "Metaspace" ->
          metaspace(node, "decoder").prepend() == PreTokenizer.Metaspace.Prepend.NEVER
              ? TokenDecoding.METASPACE
              : TokenDecoding.METASPACE_PREFIXED;
      case "Sequence" -> sentencePieceDecoding(node.path("decoders"));
      default -> throw unsupported("decoder", type);
    };
  }

  /** Replace, ByteFallback, Fuse and perhaps Strip, in this order. */
  private TokenDecoding sentencePieceDecoding(JsonNode decoders) throws ModelFormatException {
    List<String> found = new ArrayList<>();
    for (JsonNode decoder : decoders) {
      String type = decoder.path("type").asText();
      boolean known =
          switch (type) {
            case "Replace" ->
                decoder.path("pattern").path("String").asText().equals(SPACE_SYMBOL)
                    && decoder.path("content").asText().equals(" ");
            case "Strip" ->
                decoder.path("content").asText().equals(" ")
                    && decoder.path("start").asInt() == 1
                    && decoder.path("stop").asInt() == 0;
            default -> true;
          };
      if (!known) {
        throw refused("decoder", "the settings of " + type + " are not supported: " + decoder);
      }
      found.add(type);
    }
    List<String> plain = List.of("Replace", "ByteFallback", "Fuse");
    if (found.equals(plain)) {
      return TokenDecoding.SENTENCE_PIECE;
    }
    if (found.equals(List.of("Replace", "ByteFallback", "Fuse", "Strip"))) {
      return TokenDecoding.SENTENCE_PIECE_STRIPPED;
    }
    throw unsupported("decoder", String.join(" + ", found));
  }

  /** The tokens a post-processor puts before a text. */
  List<Integer> prefix(JsonNode node) throws ModelFormatException {
    List<Integer> ids = new ArrayList<>();
    if (!isAbsent(node)) {
      addPrefix(node, ids);
    }
    return ids;
  }

  private void addPrefix(JsonNode node, List<Integer> ids) throws ModelFormatException {
    String type = node.path("type").asText();
    switch (type) {
      case "ByteLevel" -> {}
      case "Sequence" -> {
        for (JsonNode processor : node.path("processors")) {
          addPrefix(processor, ids);
        }
      }
      case "TemplateProcessing" -> addTemplate(node, ids);
      default -> throw unsupported("post_processor", type);
    }
  }

  private void addTemplate(JsonNode node, List<Integer> ids) throws ModelFormatException {
    boolean textSeen = false;
    for (JsonNode part : node.path("single")) {
      String name = part.path("SpecialToken").path("id").asText();
      if (part.path("Sequence").path("id").asText().equals("A") && !textSeen) {
        textSeen = true;
      } else if (textSeen || name.isEmpty()) {
        throw refused("post_processor.single", "only tokens before the text are supported");
      } else {
        JsonNode tokenIds = node.path("special_tokens").path(name).path("ids");
        if (!tokenIds.isArray() || tokenIds.isEmpty()) {
          throw refused("post_processor.special_tokens", "no ids of \"" + name + "\"");
        }
        for (JsonNode id : tokenIds) {
          ids.add(id.intValue());
        }
      }
    }
    if (!textSeen) {
      throw refused("post_processor.single", "the text itself is missing");
    }
  }

  private static boolean isAbsent(JsonNode node) {
    return node.isMissingNode() || node.isNull();
  }

  private ModelFormatException unsupported(String field, String type) {
    return refused(field, "the " + field + " \"" + type + "\" is not supported");
  }

  private ModelFormatException refused(String field, String problem) {
    return new ModelFormatException(file, field, problem);
  }
}
