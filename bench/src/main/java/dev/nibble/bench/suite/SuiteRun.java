package dev.nibble.bench.suite;

import dev.nibble.bench.SourceTree;
import dev.nibble.bench.kernel.WrongResultException;
import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.ResultFile;
import dev.nibble.bench.result.StepRound;
import dev.nibble.runtime.cuda.CudaException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** One run of a profile. */
final class SuiteRun implements AutoCloseable {
  /** Said once, so that whoever waits for it can start other work beside the steps that follow. */
  static final String HOST_DONE = "the host is measured: other work may run beside what follows";

  private final List<PlannedStep> steps;
  private final Session session;
  private final PrintStream out;

  /**
   * Prepares a run.
   *
   * @param all steps of the profile
   * @param only text that the wanted ones have in them
   * @param commit of the project
   * @param command that the run was started with
   * @param out where it tells what it does
   */
  SuiteRun(List<PlannedStep> all, String only, String commit, String command, PrintStream out) {
    steps = all.stream().filter(step -> step.text().contains(only)).toList();
    String time = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    session = new Session(new Run(commit, command, time, ""));
    this.out = out;
  }

  /** The commit that the project's folder is at, with a mark if files differ from it. */
  static String commit() throws IOException {
    Optional<Path> root = SourceTree.find();
    if (root.isEmpty()) {
      return "unknown";
    }
    String id = git(root.get(), "rev-parse", "--short", "HEAD");
    if (id.isEmpty()) {
      return "unknown";
    }
    boolean changed = !git(root.get(), "status", "--porcelain", "--untracked-files=no").isEmpty();
    return changed ? id + "-changed" : id;
  }

  private static String git(Path folder, String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("git", "-C", folder.toString()));
    command.addAll(List.of(arguments));
    try {
      Process git =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
      String text = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return git.waitFor() == 0 ? text.strip() : "";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("git: interrupted", e);
    }
  }

  /** Prints the steps. */
  void list() {
    steps.forEach(step -> out.println(step.name() + " " + step.title()));
  }

  /** The file of a run that names none: one a machine, day and profile. */
  Path defaultFile(String profile) {
    String device = device().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
    String day = session.run().time().substring(0, 10);
    return SourceTree.find()
        .map(root -> root.resolve("bench/results"))
        .orElse(Path.of(""))
        .resolve(device + "-" + day + "-" + profile + ".jsonl");
  }

  private String device() {
    try {
      return session.gpu().device();
    } catch (LeftOutException e) {
      return session.cpu().device();
    }
  }

  /**
   * Does every step that the file does not have yet. One that fails is told of, and the others are
   * done all the same.
   *
   * @param path of the results
   * @return whether none failed
   */
  boolean run(Path path) throws IOException {
    ResultFile file = new ResultFile(path);
    List<Measurement> known = new ArrayList<>(file.read());
    List<String> leftOut = new ArrayList<>();
    List<String> failed = new ArrayList<>();
    out.println("results: " + path + ", commit " + session.run().commit());
    int number = 0;
    int quiet = lastOfHost();
    long begin = System.nanoTime();
    for (PlannedStep step : steps) {
      if (quiet > 0 && number == quiet) {
        out.printf(Locale.ROOT, HOST_DONE + ", after %.0f s%n", seconds(begin));
      }
      out.printf(Locale.ROOT, "[%d/%d] %s%n", ++number, steps.size(), step.title());
      if (isDone(known, step.name())) {
        out.println("    already in the results");
        continue;
      }
      long start = System.nanoTime();
      session.enter(step.name().toString());
      List<Measurement> found;
      try {
        found = step.step().run(session);
      } catch (LeftOutException e) {
        out.println("    left out: " + e.getMessage());
        leftOut.add(step.title() + ": " + e.getMessage());
        continue;
      } catch (IOException | WrongResultException | CudaException e) {
        out.println("    failed: " + e.getMessage());
        failed.add(step.title() + ": " + e.getMessage());
        continue;
      }
      file.append(found);
      known.addAll(found);
      Ceilings ceilings = new Ceilings(known);
      found.forEach(measurement -> out.println("    " + Line.of(measurement, ceilings)));
      out.printf(Locale.ROOT, "    took %.1f s%n", seconds(start));
    }
    file.poolRounds();
    tell("left out on this machine:", leftOut);
    tell("failed:", failed);
    out.printf(Locale.ROOT, "the run took %.0f s%n", seconds(begin));
    return failed.isEmpty();
  }

  /** Number of the last step that measures the host; 0 if none does. */
  private int lastOfHost() {
    int last = 0;
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i).step().measuresHost()) {
        last = i + 1;
      }
    }
    return last;
  }

  private static double seconds(long since) {
    return (System.nanoTime() - since) / 1e9;
  }

  private void tell(String what, List<String> reasons) {
    if (!reasons.isEmpty()) {
      out.println(what);
      reasons.forEach(reason -> out.println("    " + reason));
    }
  }

  @Override
  public void close() {
    session.close();
  }

  /**
   * A figure of another machine or commit does not count. Pooled rounds bear the number of the
   * last.
   */
  private boolean isDone(List<Measurement> known, StepRound step) {
    String commit = session.run().commit();
    return known.stream()
        .anyMatch(measurement ->
            isOf(step, StepRound.parse(measurement.run().step()))
                && measurement.run().commit().equals(commit)
                && (measurement.origin() == Origin.COMPUTED || isOfHere(measurement.machine())));
  }

  private static boolean isOf(StepRound step, StepRound found) {
    return found.step().equals(step.step()) && found.round() >= step.round();
  }

  private boolean isOfHere(Machine machine) {
    return machine.cpu().equals(session.cpu().cpu())
        && (machine.device().equals(session.cpu().device()) || machine.device().equals(device()));
  }
}
