package dev.nibble.runtime.cli;

import dev.nibble.runtime.generate.GenerationListener;
import dev.nibble.runtime.generate.GenerationParameters;
import dev.nibble.runtime.generate.GenerationResult;
import dev.nibble.runtime.generate.GenerationResult.FinishReason;
import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.generate.Session;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code nibble run}: streams the continuation of a prompt. */
@Command(name = "run", description = "Continue a text.", sortOptions = false)
final class RunCommand implements Callable<Integer> {
  private final Host host;

  @Parameters(
      arity = "0..1",
      paramLabel = "PROMPT",
      description = "Text to continue. Default: standard input.")
  private @Nullable String prompt;

  @Mixin private ModelSelection selection = new ModelSelection();
  @Mixin private EngineOptions engine = new EngineOptions();
  @Mixin private SamplingOptions sampling = new SamplingOptions();

  @Option(
      names = "--context",
      paramLabel = "N",
      defaultValue = "0",
      description = "Tokens the cache holds. Default: what the model was made for, 4096 at most.")
  private int context;

  @Option(names = "--json", description = "Print one JSON object at the end.")
  private boolean json;

  RunCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    GenerationParameters parameters = sampling.parameters();
    String text = prompt == null ? Inputs.read(host.in()) : prompt;
    try (Model model = engine.load(host, selection, context);
        Session session = model.newSession()) {
      return Interruption.allowing(
          session::cancel, () -> complete(model, session, text, parameters).number());
    }
  }

  private ExitCode complete(
      Model model, Session session, String text, GenerationParameters parameters)
      throws IOException {
    GenerationResult result =
        session.generate(text, parameters, json ? GenerationListener.NONE : host.results()::stream);
    if (json) {
      host.results().json(fields(model, result));
    } else {
      host.results().line("");
    }
    return result.finishReason() == FinishReason.CANCELLED ? ExitCode.INTERRUPTED : ExitCode.OK;
  }

  private static Map<String, Object> fields(Model model, GenerationResult result) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("text", result.text());
    fields.put("tokens", result.tokens());
    fields.put("prompt_tokens", result.promptTokens());
    fields.put("completion_tokens", result.tokens().size());
    fields.put("finish_reason", result.finishReason().name().toLowerCase(Locale.ROOT));
    fields.put("prefill_ms", result.prefillNanos() / 1e6);
    fields.put("decode_ms", result.decodeNanos() / 1e6);
    fields.put("decode_tokens_per_second", result.decodeTokensPerSecond());
    fields.put("device", model.device());
    fields.put("scheme", model.config().scheme().toString());
    return fields;
  }
}
