package dev.nibble.runtime.cli;

import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code nibble detokenize}: ids to text. */
@Command(name = "detokenize", description = "Turn token ids into text.", sortOptions = false)
final class DetokenizeCommand implements Callable<Integer> {
  private final Host host;

  @Parameters(
      paramLabel = "IDS",
      description = "Ids with commas or blanks between them. Default: standard input.")
  private List<String> ids = List.of();

  @Mixin private ModelSelection selection = new ModelSelection();

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  DetokenizeCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    int[] tokens = TokenIds.parse(ids.isEmpty() ? Inputs.read(host.in()) : String.join(" ", ids));
    Tokenizer tokenizer = TokenizerFiles.open(selection.source(host));
    String text = tokenizer.decodeAsReference(tokens);
    if (json) {
      host.results().json(Map.of("text", text));
    } else {
      host.results().line(text);
    }
    return ExitCode.OK.number();
  }
}
