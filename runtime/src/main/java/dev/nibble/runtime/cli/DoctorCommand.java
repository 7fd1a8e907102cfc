package dev.nibble.runtime.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code nibble doctor}: what this machine offers, and what is missing. */
@Command(
    name = "doctor",
    description = "Show what this machine offers, with advice for what is missing.",
    sortOptions = false)
final class DoctorCommand implements Callable<Integer> {
  private final Host host;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  DoctorCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    List<Finding> findings = new ArrayList<>(CpuCheckup.findings());
    findings.addAll(GpuCheckup.findings());
    if (json) {
      host.results()
          .json(Map.of("findings", findings.stream().map(DoctorCommand::fields).toList()));
      return ExitCode.OK.number();
    }
    for (Finding finding : findings) {
      host.results()
          .line(String.format(Locale.ROOT, "%-12s %s", finding.subject(), finding.state()));
      if (!finding.advice().isEmpty()) {
        host.results().line(String.format(Locale.ROOT, "%-12s -> %s", "", finding.advice()));
      }
    }
    return ExitCode.OK.number();
  }

  private static Map<String, Object> fields(Finding finding) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("subject", finding.subject());
    fields.put("state", finding.state());
    fields.put("advice", finding.advice());
    return fields;
  }
}
