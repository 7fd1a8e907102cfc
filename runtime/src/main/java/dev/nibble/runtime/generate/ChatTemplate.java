package dev.nibble.runtime.generate;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.nibble.quantizer.format.ModelFile;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.tokenizer.TokenizerConfig;
import dev.nibble.runtime.generate.jinja.Template;
import dev.nibble.runtime.generate.jinja.TemplateException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A model's chat template: messages to the text that the model was trained on. Rendered as
 * transformers does, without tools; at most 1 MB of output and 1 s. Encode the result with {@link
 * dev.nibble.quantizer.tokenizer.Tokenizer#encodeWithSpecialTokens}. Immutable and thread-safe.
 */
public final class ChatTemplate {
  private static final int MAX_SOURCE_BYTES = 1 << 20;

  private final Path file;
  private final Template template;
  private final Map<String, String> controlTokens;

  private ChatTemplate(Path file, Template template, Map<String, String> controlTokens) {
    this.file = file;
    this.template = template;
    this.controlTokens = controlTokens;
  }

  /**
   * One message of a conversation.
   *
   * @param role such as {@code system}, {@code user} or {@code assistant}
   * @param content its text
   */
  public record Message(String role, String content) {}

  /**
   * Reads the template of a model folder: {@code chat_template.jinja}, else what
   * tokenizer_config.json has.
   *
   * @param folder a Hugging Face model folder
   * @return its template, or empty if the model has none
   * @throws ModelFormatException if the template is wrong
   * @throws IOException if a file cannot be read
   */
  public static Optional<ChatTemplate> open(Path folder) throws IOException {
    return open(folder, Clock.system(ZoneId.systemDefault()));
  }

  static Optional<ChatTemplate> open(Path folder, Clock clock) throws IOException {
    TokenizerConfig config = TokenizerConfig.open(folder);
    Path own = folder.resolve("chat_template.jinja");
    boolean hasOwn = Files.exists(own);
    Path file = hasOwn ? own : config.file();
    String source = hasOwn ? read(own) : configured(config);
    if (source == null) {
      return Optional.empty();
    }
    Map<String, String> controlTokens = new HashMap<>();
    for (String role : List.of("bos_token", "eos_token", "unk_token", "pad_token")) {
      config.controlToken(role).ifPresent(token -> controlTokens.put(role, token));
    }
    try {
      return Optional.of(new ChatTemplate(file, Template.of(source, clock), controlTokens));
    } catch (TemplateException e) {
      throw new ModelFormatException(file, "chat_template", message(e), e);
    }
  }

  private static @Nullable String configured(TokenizerConfig config) throws ModelFormatException {
    Map<String, String> templates = config.chatTemplates();
    if (templates.size() == 1) {
      return templates.values().iterator().next();
    }
    String source = templates.get("default");
    if (source == null && !templates.isEmpty()) {
      throw new ModelFormatException(
          config.file(),
          "chat_template",
          "expected a template named \"default\", found " + templates.keySet());
    }
    return source;
  }

  private static String read(Path file) throws IOException {
    try {
      byte[] bytes = ModelFile.read(file, MAX_SOURCE_BYTES);
      return UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, "text", "not UTF-8", e);
    }
  }

  /**
   * Renders a conversation and the beginning of the assistant's answer to it.
   *
   * @param messages the conversation so far
   * @return what the model continues
   * @throws ModelFormatException if the template fails or refuses the conversation
   */
  public String prompt(List<Message> messages) throws ModelFormatException {
    return render(messages, true);
  }

  /**
   * Renders a conversation as it stands.
   *
   * @param messages the conversation so far
   * @return its text
   * @throws ModelFormatException if the template fails or refuses the conversation
   */
  public String transcript(List<Message> messages) throws ModelFormatException {
    return render(messages, false);
  }

  private String render(List<Message> messages, boolean addGenerationPrompt)
      throws ModelFormatException {
    Map<String, @Nullable Object> variables = new HashMap<>(controlTokens);
    variables.put(
        "messages",
        messages.stream()
            .map(message -> Map.of("role", message.role(), "content", message.content()))
            .toList());
    variables.put("add_generation_prompt", addGenerationPrompt);
    variables.put("tools", null);
    variables.put("documents", null);
    try {
      return template.render(variables);
    } catch (TemplateException e) {
      throw new ModelFormatException(file, "chat_template", message(e), e);
    }
  }

  private static String message(TemplateException e) {
    return e.getMessage() == null ? "the template is wrong" : e.getMessage();
  }
}
