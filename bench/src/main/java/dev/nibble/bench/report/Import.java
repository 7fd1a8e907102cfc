package dev.nibble.bench.report;

import dev.nibble.bench.result.ResultFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.temporal.ChronoUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code benchmarks import}: takes the figures of other programs into the results. */
@Command(
    name = "import",
    description = {
      "Take in what another program measured: llama-bench's -o json, jsonl, csv or md, or what",
      "bench/peers/torch_gemm.py writes."
    },
    sortOptions = false)
public final class Import implements Runnable {
  @Parameters(paramLabel = "FILE", description = "What the other program printed.")
  private Path file = Path.of("");

  @Option(
      names = "--model",
      paramLabel = "NAME",
      description = "Our name of the shape that llama-bench ran, such as llama-2-7b.")
  private String model = "";

  @Option(
      names = "--driver",
      paramLabel = "RELEASE",
      description = "Release of the GPU's driver, where the file does not tell.")
  private String driver = "";

  @Option(
      names = "--device",
      paramLabel = "NAME",
      description = "What was measured, where the file does not tell, such as \"NVIDIA H200\".")
  private String device = "";

  @Option(
      names = "--results",
      paramLabel = "FILE",
      required = true,
      description = "Append to this file.")
  private @Nullable Path results;

  /** For the command line. */
  public Import() {}

  @Override
  public void run() {
    if (results == null) {
      throw new IllegalArgumentException("--results is needed");
    }
    try {
      String text = Files.readString(file);
      // A file that does not tell its time was written when it was last changed.
      String time =
          Files.getLastModifiedTime(file).toInstant().truncatedTo(ChronoUnit.SECONDS).toString();
      PeerOutput.Told told = new PeerOutput.Told(model, driver, device, time);
      new ResultFile(results).append(PeerOutput.read(file.toString(), text, told));
    } catch (IOException e) {
      throw new UncheckedIOException(e.getMessage(), e);
    }
  }
}
