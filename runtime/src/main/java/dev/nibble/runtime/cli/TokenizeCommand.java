package dev.nibble.runtime.cli;

import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code nibble tokenize}: text to ids. */
@Command(name = "tokenize", description = "Turn text into token ids.", sortOptions = false)
final class TokenizeCommand implements Callable<Integer> {
  private final Host host;

  @Parameters(
      arity = "0..1",
      paramLabel = "TEXT",
      description = "Text to encode. Default: standard input.")
  private @Nullable String text;

  @Mixin private ModelSelection selection = new ModelSelection();

  @Option(names = "--file", paramLabel = "F", description = "UTF-8 file to encode instead.")
  private @Nullable Path file;

  @Option(names = "--no-bos", description = "Put no beginning-of-text token in front.")
  private boolean withoutBos;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  TokenizeCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    Tokenizer tokenizer = TokenizerFiles.open(selection.source(host));
    int[] ids = tokenizer.encodeAsReference(input(), !withoutBos);
    if (json) {
      host.results().json(Map.of("ids", ids));
    } else {
      host.results().line(TokenIds.format(ids));
    }
    return ExitCode.OK.number();
  }

  private String input() throws IOException {
    if (text != null && file != null) {
      throw new IllegalArgumentException("TEXT and --file exclude each other");
    }
    if (file != null) {
      return Inputs.read(file);
    }
    return text != null ? text : Inputs.read(host.in());
  }
}
