package dev.nibble.runtime.cli;

import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.generate.Perplexity;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code nibble perplexity}: how well a model predicts a text. */
@Command(name = "perplexity", description = "Measure a model on a text.", sortOptions = false)
@SuppressWarnings("NullAway.Init") // picocli sets what is required
final class PerplexityCommand implements Callable<Integer> {
  private final Host host;

  @Mixin private ModelSelection selection = new ModelSelection();
  @Mixin private EngineOptions engine = new EngineOptions();

  @Option(names = "--text", paramLabel = "FILE", required = true, description = "UTF-8 text.")
  private Path text;

  @Option(
      names = "--context",
      paramLabel = "N",
      defaultValue = "1024",
      description = "Tokens of a window. Default: ${DEFAULT-VALUE}.")
  private int context;

  @Option(
      names = "--windows",
      paramLabel = "N",
      defaultValue = "" + Integer.MAX_VALUE,
      description = "Windows to score, from the start. Default: all.")
  private int windows;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  PerplexityCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    if (context < 2) {
      throw new IllegalArgumentException("--context " + context + ": expected 2 or more");
    }
    if (windows < 1) {
      throw new IllegalArgumentException("--windows " + windows + ": expected 1 or more");
    }
    String content = Inputs.read(text);
    try (Model model = engine.load(host, selection, context)) {
      int[] ids = ScoredText.ids(text, content, model.tokenizer(), context);
      report(measure(model, ids), model.config().scheme().toString());
    }
    return ExitCode.OK.number();
  }

  private Perplexity measure(Model model, int[] ids) {
    try (ProgressLine progress = new ProgressLine(host)) {
      return Perplexity.measure(
          model,
          ids,
          context,
          windows,
          (done, total, perplexity) ->
              progress.at(done, total, String.format(Locale.ROOT, "perplexity %.3f", perplexity)));
    }
  }

  private void report(Perplexity result, String scheme) throws IOException {
    if (json) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("perplexity", result.perplexity());
      fields.put("tokens_scored", result.tokensScored());
      fields.put("windows", result.windows());
      host.results().json(fields);
    } else {
      host.results()
          .line(
              String.format(
                  Locale.ROOT,
                  "perplexity %.4f  (%s, %d tokens in %d windows)",
                  result.perplexity(),
                  scheme,
                  result.tokensScored(),
                  result.windows()));
    }
  }
}
