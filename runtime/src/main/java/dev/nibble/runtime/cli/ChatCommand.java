package dev.nibble.runtime.cli;

import dev.nibble.runtime.generate.ChatTemplate;
import dev.nibble.runtime.generate.ChatTemplate.Message;
import dev.nibble.runtime.generate.GenerationListener;
import dev.nibble.runtime.generate.GenerationParameters;
import dev.nibble.runtime.generate.GenerationResult;
import dev.nibble.runtime.generate.GenerationResult.FinishReason;
import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.generate.Session;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code nibble chat}: a conversation, a line of standard input a turn. */
@Command(name = "chat", description = "Talk with a chat model, line by line.", sortOptions = false)
final class ChatCommand implements Callable<Integer> {
  private final Host host;

  @Mixin private ModelSelection selection = new ModelSelection();
  @Mixin private EngineOptions engine = new EngineOptions();
  @Mixin private SamplingOptions sampling = new SamplingOptions();

  @Option(
      names = "--context",
      paramLabel = "N",
      defaultValue = "0",
      description = "Tokens the cache holds. Default: what the model was made for, 4096 at most.")
  private int context;

  @Option(names = "--system", paramLabel = "TEXT", description = "What the model is told first.")
  private @Nullable String system;

  @Option(names = "--json", description = "Print the conversation as one JSON object at its end.")
  private boolean json;

  ChatCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    GenerationParameters parameters = sampling.parameters();
    ChatTemplate template = template(selection.source(host));
    try (Model model = engine.load(host, selection, context);
        Session session = model.newSession()) {
      return Interruption.allowing(
          session::cancel, () -> converse(model, session, template, parameters).number());
    }
  }

  private static ChatTemplate template(Path folder) throws IOException {
    return ChatTemplate.open(folder)
        .orElseThrow(() ->
            new UnfitInputException(
                folder + ": the model has no chat template; use 'nibble run' for plain text"));
  }

  private ExitCode converse(
      Model model, Session session, ChatTemplate template, GenerationParameters parameters)
      throws IOException {
    List<Message> messages = new ArrayList<>();
    if (system != null) {
      messages.add(new Message("system", system));
    }
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(host.in(), StandardCharsets.UTF_8.newDecoder()));
    ExitCode code = ExitCode.OK;
    @Nullable String line = ask(lines);
    while (line != null) {
      messages.add(new Message("user", line));
      int[] prompt = model.tokenizer().encodeWithSpecialTokens(template.prompt(messages));
      GenerationResult result =
          session.generate(
              prompt, parameters, json ? GenerationListener.NONE : host.results()::stream);
      messages.add(new Message("assistant", result.text()));
      if (!json) {
        host.results().line("");
      }
      code = result.finishReason() == FinishReason.CANCELLED ? ExitCode.INTERRUPTED : ExitCode.OK;
      line = code == ExitCode.OK ? ask(lines) : null;
    }
    if (json) {
      host.results().json(fields(model, messages));
    }
    return code;
  }

  /** The next line that says something, or null at the end. */
  private @Nullable String ask(BufferedReader lines) throws IOException {
    String line;
    do {
      if (host.interactive()) {
        host.messages().print("> ");
        host.messages().flush();
      }
      line = lines.readLine();
    } while (line != null && line.isBlank());
    return line;
  }

  private static Map<String, Object> fields(Model model, List<Message> messages) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put(
        "messages",
        messages.stream()
            .map(message -> Map.of("role", message.role(), "content", message.content()))
            .toList());
    fields.put("device", model.device());
    fields.put("scheme", model.config().scheme().toString());
    return fields;
  }
}
