package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.QuantScheme;
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
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds the engine for a device. */
final class EngineChoice {
  private static final Logger LOG = LoggerFactory.getLogger(Engine.class);

  /** System property that names other images than the device's own, such as compute_80. */
  private static final String IMAGE = "image";

  private EngineChoice() {}

  static Engine create(ModelWeights weights, Device device, ModelOptions options) {
    return create(
        () -> weights,
        () -> weights,
        (gpu, stream, bytes) -> DeviceUpload.of(gpu, stream, bytes, weights.memory()),
        device,
        options);
  }

  static Engine synthetic(String shape, QuantScheme scheme, Device device, ModelOptions options) {
    return create(
        () -> ModelWeights.synthetic(shape, scheme),
        () -> ModelWeights.syntheticSizes(shape, scheme),
        SyntheticContents::of,
        device,
        options);
  }

  /**
   * Makes an engine.
   *
   * @param onHost weights for the CPU
   * @param planned weights for a GPU, whose contents come from {@code source}
   */
  private static Engine create(
      Supplier<ModelWeights> onHost,
      Supplier<ModelWeights> planned,
      DeviceContents.Source source,
      Device device,
      ModelOptions options) {
    return switch (device) {
      case Device.Cpu _ -> onHost(onHost.get(), options);
      case Device.Auto _ -> {
        ModelWeights weights = planned.get();
        // The CPU has its reason, which is said once.
        try {
          yield onDevice(weights, source, new Device.Cuda(0), options);
        } catch (DeviceException | UnfitModelException | CudaException e) {
          LOG.warn("running on the CPU: {}", e.getMessage());
          yield onHost(onHost.get(), options);
        } catch (RuntimeException | OutOfMemoryError e) {
          weights.close();
          throw e;
        }
      }
      case Device.Cuda cuda -> {
        ModelWeights weights = planned.get();
        try {
          yield onDevice(weights, source, cuda, options);
        } catch (RuntimeException | OutOfMemoryError e) {
          weights.close();
          throw e;
        }
      }
    };
  }

  private static Engine onHost(ModelWeights weights, ModelOptions options) {
    try {
      weights.memory().requireChecksums();
    } catch (IOException e) {
      weights.close();
      throw new UncheckedIOException(e);
    }
    return CpuEngine.create(weights, options);
  }

  /** Makes the engine and closes the weights, which are on the device then. */
  private static Engine onDevice(
      ModelWeights weights, DeviceContents.Source source, Device.Cuda asked, ModelOptions options) {
    String architecture = architecture(asked);
    var device = dev.nibble.runtime.cuda.Device.open(asked.index());
    Engine engine =
        CudaEngine.create(weights, source, options, new KernelCatalog(device, architecture), asked);
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
