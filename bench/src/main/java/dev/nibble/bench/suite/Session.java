package dev.nibble.bench.suite;

import dev.nibble.bench.kernel.Timed;
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
import dev.nibble.runtime.cuda.DeviceMonitor;
import dev.nibble.runtime.cuda.DeviceProperties;
import dev.nibble.runtime.cuda.DeviceReading;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** What the steps of one run share. */
final class Session implements AutoCloseable {
  private final Machine cpu = Machine.ofCpu();
  private final CudaStatus status = CudaDevices.probe();
  private final Optional<DeviceMonitor> monitor;
  private Run run;

  /**
   * Starts.
   *
   * @param run with an empty step
   */
  Session(Run run) {
    this.run = run;
    monitor =
        status instanceof CudaStatus.Ready ready
            ? DeviceMonitor.open(ready.devices().getFirst())
            : Optional.empty();
  }

  /** What comes from now on belongs to a step. */
  void enter(String step) {
    run = new Run(run.commit(), run.command(), run.time(), step);
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
    DeviceProperties device = requireGpu();
    return cpu.withGpu(device.name(), reading().map(DeviceReading::driver).orElse(""));
  }

  /** What NVML says of the GPU now; nothing where it is not installed. */
  Optional<DeviceReading> reading() {
    return monitor.map(DeviceMonitor::read);
  }

  /**
   * Refuses a machine without a GPU that the kernels run on.
   *
   * @return the first GPU
   */
  DeviceProperties requireGpu() throws LeftOutException {
    if (!(status instanceof CudaStatus.Ready ready)) {
      throw new LeftOutException(status.summary());
    }
    DeviceProperties device = ready.devices().getFirst();
    if (device.imageArchitecture().isEmpty()) {
      throw new LeftOutException(ready.advice());
    }
    return device;
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
    return ofGpu(kind, name, parameters, unit, value, work, clocks());
  }

  /** A measurement of the GPU, whose clocks were read then. */
  Measurement ofGpu(
      Kind kind,
      String name,
      Map<String, String> parameters,
      String unit,
      Spread value,
      Work work,
      Clocks clocks)
      throws LeftOutException {
    return Measurement.of(
        kind,
        name,
        parameters,
        unit,
        value,
        work,
        Origin.MEASURED,
        new Context(gpu(), clocks, run));
  }

  /** The time of a kernel of ours, or of a library's beside it. */
  Measurement ofKernel(Timed timed) throws LeftOutException {
    Map<String, String> parameters = new TreeMap<>(timed.parameters());
    if (!timed.program().isEmpty()) {
      parameters.put("program", timed.program());
    }
    return Measurement.of(
        Kind.KERNEL,
        timed.name(),
        parameters,
        "us",
        timed.microseconds(),
        timed.work(),
        timed.program().isEmpty() ? Origin.MEASURED : Origin.IMPORTED,
        new Context(gpu(), clocks(), run));
  }

  /** State of the GPU now; unknown without NVML. */
  Clocks clocks() {
    return reading()
        .map(now -> new Clocks(now.multiprocessorMegahertz(), now.memoryMegahertz(), now.celsius()))
        .orElse(Clocks.UNKNOWN);
  }

  @Override
  public void close() {
    monitor.ifPresent(DeviceMonitor::close);
  }
}
