package dev.nibble.runtime.cli;

import dev.nibble.runtime.generate.Model;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import picocli.CommandLine.Option;

/** What an engine is made for. */
final class EngineOptions {
  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "0",
      description = "CPU threads. Default: one a core.")
  private int threads;

  ModelOptions options(int context) {
    return new ModelOptions(context, 1, threads);
  }

  /** Loads the selected model. */
  Model load(Host host, ModelSelection selection, int context) throws IOException {
    ModelOptions options = options(context);
    return selection.open(host, folder -> Model.load(folder, selection.device(), options));
  }
}
