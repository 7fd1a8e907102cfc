package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.engine.Sequence;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code nibble logits}: the logits after each of some tokens, to compare implementations by. */
@Command(
    name = "logits",
    description = "Write the logits after each token to a NumPy file.",
    sortOptions = false)
@SuppressWarnings("NullAway.Init") // picocli sets what is required
final class LogitsCommand implements Callable<Integer> {
  private final Host host;

  @Mixin private ModelSelection selection = new ModelSelection();
  @Mixin private EngineOptions engine = new EngineOptions();

  @Option(
      names = "--ids",
      paramLabel = "1,2,3",
      required = true,
      description = "Token ids; nothing is put in front.")
  private String ids;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE.npy",
      required = true,
      description = "Receives a float32 array [tokens, vocabulary].")
  private Path output;

  @Option(names = "--json", description = "Print one JSON object that describes the file.")
  private boolean json;

  LogitsCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    int[] tokens = TokenIds.parse(ids);
    if (tokens.length == 0) {
      throw new IllegalArgumentException("--ids: expected at least one token id");
    }
    ModelOptions options = engine.options(tokens.length);
    ModelWeights weights = selection.open(host, folder -> ModelWeights.of(Checkpoint.open(folder)));
    String scheme = weights.config().scheme().toString();
    try (Engine opened = Engine.create(weights, selection.device(), options)) {
      write(opened, tokens);
      if (json) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("file", output.toString());
        fields.put("tokens", tokens.length);
        fields.put("vocabulary", opened.vocabSize());
        fields.put("device", opened.device());
        fields.put("scheme", scheme);
        host.results().json(fields);
      }
    }
    return ExitCode.OK.number();
  }

  private void write(Engine opened, int[] tokens) throws IOException {
    int vocabulary = opened.vocabSize();
    try (Sequence sequence = opened.open(SamplingParameters.GREEDY);
        NpyFile file = new NpyFile(output, tokens.length, vocabulary)) {
      opened.score(
          sequence, tokens, (first, count, logits) -> append(file, logits, count * vocabulary));
      file.commit();
    }
  }

  private static void append(NpyFile file, float[] logits, int count) {
    try {
      file.append(logits, count);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
