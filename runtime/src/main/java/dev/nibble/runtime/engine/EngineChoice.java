package dev.nibble.runtime.engine;

import dev.nibble.runtime.cuda.CudaDevices;
import dev.nibble.runtime.cuda.CudaException;
import dev.nibble.runtime.cuda.CudaStatus;
import dev.nibble.runtime.cuda.DeviceProperties;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.DeviceException;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.UnfitModelException;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds the engine for a device. */
final class EngineChoice {
  private static final Logger LOG = LoggerFactory.getLogger(Engine.class);

  /** System property that names other images than the device's own, such as compute_80. */
  private static final String IMAGE = "image";

  private EngineChoice() {}

  static Engine create(ModelWeights weights, Device device, ModelOptions options) {
    return switch (device) {
      case Device.Cpu _ -> CpuEngine.create(weights, options);
      case Device.Auto _ -> any(weights, options);
      case Device.Cuda cuda -> cuda(weights, cuda, options);
    };
  }

  /** The CPU has its reason, which is said once. */
  private static Engine any(ModelWeights weights, ModelOptions options) {
    Device.Cuda first = new Device.Cuda(0);
    try {
      return onDevice(weights, first, options);
    } catch (DeviceException | UnfitModelException | CudaException e) {
      LOG.info("running on the CPU: {}", e.getMessage());
      return CpuEngine.create(weights, options);
    }
  }

  private static Engine cuda(ModelWeights weights, Device.Cuda device, ModelOptions options) {
    try {
      return onDevice(weights, device, options);
    } catch (RuntimeException | OutOfMemoryError e) {
      weights.close();
      throw e;
    }
  }

  /** Makes the engine and closes the weights, which are on the device then. */
  private static Engine onDevice(ModelWeights weights, Device.Cuda asked, ModelOptions options) {
    String architecture = architecture(asked);
    var device = dev.nibble.runtime.cuda.Device.open(asked.index());
    Engine engine =
        CudaEngine.create(weights, options, new KernelCatalog(device, architecture), asked);
    weights.close();
    return engine;
  }

  /** The images that the device loads. */
  private static String architecture(Device.Cuda asked) {
    CudaStatus status = CudaDevices.probe();
    if (!(status instanceof CudaStatus.Ready ready)) {
      throw new DeviceException(asked, status.summary() + "; " + status.advice());
    }
    List<DeviceProperties> devices = ready.devices();
    if (asked.index() >= devices.size()) {
      throw new DeviceException(asked, "this machine has " + devices.size() + " CUDA devices");
    }
    String forced = System.getProperty(IMAGE);
    if (forced != null) {
      LOG.info("kernel images for {}, as -D{} says", forced, IMAGE);
      return forced;
    }
    return devices
        .get(asked.index())
        .imageArchitecture()
        .orElseThrow(() -> new DeviceException(asked, ready.advice()));
  }
}
