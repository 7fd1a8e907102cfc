package dev.nibble.runtime.kernel;

import dev.nibble.kernels.KernelImage;
import dev.nibble.kernels.KernelImages;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.KernelLibrary;
import dev.nibble.runtime.cuda.LaunchConfig;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;

/** The kernels of a device, each image loaded once; they are freed with the device. */
public final class KernelCatalog {
  private final Device device;
  private final String architecture;
  private final Map<String, KernelLibrary> libraries = new HashMap<>();

  /**
   * The kernels compiled for an architecture.
   *
   * @param device loads them
   * @param architecture such as {@code sm_90a}
   */
  public KernelCatalog(Device device, String architecture) {
    this.device = device;
    this.architecture = architecture;
  }

  /**
   * The device they are loaded on.
   *
   * @return the device
   */
  public Device device() {
    return device;
  }

  /**
   * Finds a kernel.
   *
   * @param image its source's name without the ending
   * @param name its C name
   * @return the kernel, with its code on the device
   */
  Kernel kernel(String image, String name) {
    return libraries.computeIfAbsent(image, this::load).kernel(name);
  }

  /** When a kernel may start that waits by itself for what the one before it wrote. */
  LaunchConfig.Start earliestStart() {
    return architecture.startsWith("sm_9") || architecture.startsWith("sm_1")
        ? LaunchConfig.Start.WHEN_PREVIOUS_ALLOWS
        : LaunchConfig.Start.AFTER_PREVIOUS;
  }

  private KernelLibrary load(String image) {
    try {
      return device.load(KernelImages.read(new KernelImage(architecture, image)));
    } catch (IOException e) {
      throw new UncheckedIOException("kernel image " + architecture + "/" + image, e);
    }
  }
}
