package dev.nibble.bench.suite;

import dev.nibble.bench.SourceTree;
import dev.nibble.bench.report.PeerOutput;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Another library's figures on this GPU, by a Python program of this project, in the same run as
 * ours.
 *
 * @param script from the project's folder; it prints what {@link PeerOutput} reads, or says in one
 *     line what it lacks and exits with 69
 */
record PeerStep(String script) implements Step {
  private static final int UNAVAILABLE = 69;

  @Override
  public String title() {
    return "python3 " + script;
  }

  @Override
  public List<Measurement> run(Session session) throws IOException, LeftOutException {
    session.requireGpu();
    Path output = Files.createTempFile("nibble-peer", ".json");
    Path errors = Files.createTempFile("nibble-peer", ".err");
    try {
      int code = run(output, errors);
      String complaint =
          Files.readString(errors).lines().reduce((first, last) -> last).orElse("no reason given");
      if (code == UNAVAILABLE) {
        throw new LeftOutException(complaint);
      }
      if (code != 0) {
        throw new IOException(title() + ": exit " + code + ": " + complaint);
      }
      PeerOutput.Told told = new PeerOutput.Told("", session.gpu().driver(), "", "");
      List<Measurement> found = new ArrayList<>();
      for (Measurement row : PeerOutput.read(script, Files.readString(output), told)) {
        found.add(
            Measurement.of(
                row.kind(),
                row.name(),
                row.parameters(),
                row.unit(),
                row.value(),
                row.work(),
                row.origin(),
                new Context(row.machine(), session.clocks(), session.run())));
      }
      return found;
    } finally {
      Files.delete(output);
      Files.delete(errors);
    }
  }

  private int run(Path output, Path errors) throws IOException, LeftOutException {
    Process process;
    try {
      process =
          new ProcessBuilder("python3", SourceTree.file(script).toString())
              .redirectOutput(output.toFile())
              .redirectError(errors.toFile())
              .start();
    } catch (IOException e) {
      throw new LeftOutException("python3 is not installed", e);
    }
    try {
      return process.waitFor();
    } catch (InterruptedException e) {
      process.destroy();
      Thread.currentThread().interrupt();
      throw new IOException(title() + ": interrupted", e);
    }
  }
}
