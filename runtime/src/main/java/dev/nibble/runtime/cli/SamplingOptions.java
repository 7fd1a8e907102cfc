package dev.nibble.runtime.cli;

import dev.nibble.runtime.engine.SamplingParameters;
import dev.nibble.runtime.generate.GenerationParameters;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** How much is generated, and how tokens are chosen. */
final class SamplingOptions {
  @Option(
      names = "-n",
      paramLabel = "N",
      defaultValue = "128",
      description = "Most tokens to generate. Default: ${DEFAULT-VALUE}.")
  private int tokens;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "Divides the logits; 0 is greedy. Default: ${DEFAULT-VALUE}.")
  private float temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "Sample from the K most likely tokens; 0 is all. Default: ${DEFAULT-VALUE}.")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description = "Sample from the most likely tokens that reach P. Default: ${DEFAULT-VALUE}.")
  private float topP;

  @Option(
      names = "--min-p",
      paramLabel = "P",
      defaultValue = "0",
      description =
          "Leave out tokens less likely than P times the most likely. Default: ${DEFAULT-VALUE}.")
  private float minP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "Makes tokens seen before less likely; 1 does not. Default: ${DEFAULT-VALUE}.")
  private float repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description =
          "Of the random numbers: the same seed, the same text. Default: ${DEFAULT-VALUE}.")
  private long seed;

  @Option(
      names = "--stop",
      paramLabel = "S",
      description = "Text that ends the generation; may be given more than once.")
  private List<String> stop = new ArrayList<>();

  GenerationParameters parameters() {
    return new GenerationParameters(
        tokens,
        new SamplingParameters(temperature, topK, topP, minP, repetitionPenalty, seed),
        stop);
  }
}
