package dev.nibble.bench.suite;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Spread;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import org.openjdk.jmh.util.Statistics;

/**
 * A benchmark in JVMs of its own.
 *
 * @param benchmark simple name of its class
 * @param method pattern of its methods; all if empty
 * @param parameters its parameters; those left out take all their values
 * @param forks JVMs
 * @param warmups iterations beforehand
 * @param iterations that count
 * @param milliseconds of an iteration
 */
record JmhStep(
    String benchmark,
    String method,
    Map<String, String> parameters,
    int forks,
    int warmups,
    int iterations,
    int milliseconds)
    implements Step {
  private static final String PACKAGE = "dev.nibble.bench.";

  JmhStep {
    parameters = parameters == null ? Map.of() : Map.copyOf(parameters);
    method = method == null ? "" : method;
  }

  @Override
  public String title() {
    String what = method.isEmpty() ? benchmark : benchmark + "." + method;
    return parameters.isEmpty() ? what : what + " " + new TreeMap<>(parameters);
  }

  @Override
  public boolean measuresHost() {
    return true;
  }

  @Override
  public List<Measurement> run(Session session) throws IOException, LeftOutException {
    JmhSubject subject = JmhSubject.of(benchmark);
    if (subject.needsGpu()) {
      session.requireGpu();
    }
    ChainedOptionsBuilder options =
        new OptionsBuilder()
            .include(
                Pattern.quote(PACKAGE + benchmark + ".") + (method.isEmpty() ? ".*" : method) + "$")
            .forks(forks)
            .warmupIterations(warmups)
            .warmupTime(TimeValue.milliseconds(milliseconds))
            .measurementIterations(iterations)
            .measurementTime(TimeValue.milliseconds(milliseconds))
            .shouldFailOnError(true)
            .verbosity(VerboseMode.SILENT);
    parameters.forEach((name, value) -> options.param(name, value));
    List<Measurement> found = new ArrayList<>();
    try {
      for (RunResult result : new Runner(options.build()).run()) {
        found.add(measurement(session, subject, result));
      }
    } catch (RunnerException e) {
      throw new IOException(title() + ": " + e.getMessage(), e);
    }
    return found;
  }

  private Measurement measurement(Session session, JmhSubject subject, RunResult result)
      throws IOException, LeftOutException {
    Statistics samples = result.getPrimaryResult().getStatistics();
    Map<String, String> values = new TreeMap<>();
    for (String name : result.getParams().getParamsKeys()) {
      values.put(name, result.getParams().getParam(name));
    }
    String called = result.getPrimaryResult().getLabel();
    JmhSubject.Figure figure = subject.figure(called, values);
    Spread spread =
        new Spread(
            samples.getPercentile(50),
            samples.getMin(),
            samples.getMax(),
            Math.toIntExact(samples.getN()));
    String unit =
        result.getPrimaryResult().getScoreUnit().toLowerCase(Locale.ROOT).replace("/op", "");
    return subject.needsGpu()
        ? session.ofGpu(figure.kind(), figure.name(), values, unit, spread, figure.work())
        : session.ofCpu(
            figure.kind(),
            figure.name(),
            values,
            figure.unit().orElse(unit),
            spread.times(figure.factor()),
            figure.work());
  }
}
