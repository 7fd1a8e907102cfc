package dev.nibble.runtime.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Work that {@link Stream#capture} recorded. Everything it refers to must stay open as long as it
 * is launched.
 */
public final class Graph extends DeviceResource {
  private final MemorySegment executable;

  Graph(Device device, MemorySegment executable) {
    super(device);
    this.executable = executable;
  }

  /**
   * Enqueues the work. Asynchronous with respect to the host; allocates nothing.
   *
   * @param stream runs it
   */
  public void launch(Stream stream) {
    device.check("cuGraphLaunch", driver().cuGraphLaunch(executable, stream.handle()));
  }

  @Override
  int free(CudaDriver driver) {
    return driver.cuGraphExecDestroy(executable);
  }

  @Override
  String freeFunction() {
    return "cuGraphExecDestroy";
  }
}
