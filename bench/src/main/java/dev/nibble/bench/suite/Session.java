package dev.nibble.bench.suite;

import dev.nibble.bench.result.Machine;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Clocks;
import dev.nibble.bench.result.Measurement.Context;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Origin;
import dev.nibble.bench.result.Measurement.Run;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaStatus;
import java.util.Map;

/** What the steps of one run share. */
final class Session {
  private final Run run;
  private final Machine cpu = Machine.ofCpu();
  private final CudaStatus status = CudaDevices.probe();

  /**
   * Starts.
   *
   * @param run with an empty step
   */
  Session(Run run) {
    this.run = run;
  }

  private Session(Session session, String step) {
    run = new Run(session.run.commit(), session.run.command(), session.run.time(), step);
  }

  /** The session, for the measurements of a step. */
  Session at(String step) {
    return new Session(this, step);
  }

  Run run() {
    return run;
  }

  /** This machine without its GPU. */
  Machine cpu() {
    return cpu;
  }

  /** The machine with its first GPU. */
  Machine gpu() throws LeftOutException {
    requireGpu();
    CudaStatus.Ready ready = (CudaStatus.Ready) status;
    return cpu.withGpu(ready.devices().getFirst().name(), NvidiaSmi.driver());
  }

  /** Refuses a machine without a GPU that the kernels run on. */
  void requireGpu() throws LeftOutException {
    if (!(status instanceof CudaStatus.Ready ready)) {
      throw new LeftOutException(status.summary());
    }
    if (ready.devices().getFirst().imageArchitecture().isEmpty()) {
      throw new LeftOutException(ready.advice());
    }
  }

  /** A measurement of the CPU. */
  Measurement ofCpu(
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      Spread value,
      Work work) {
    return Measurement.of(
        kind,
        name,
        parameters,
        unit,
        value,
        work,
        Origin.MEASURED,
        new Context(cpu, Clocks.UNKNOWN, run));
  }

  /** A measurement of the GPU. */
  Measurement ofGpu(
      Kind kind, String name, Map<String, String> parameters, String unit, Spread value, Work work)
      throws LeftOutException {
    return Measurement.of(
        kind,
        name,
        parameters,
        unit,
        value,
        work,
        Origin.MEASURED,
        new Context(gpu(), NvidiaSmi.clocks(), run));
  }
}
