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
  private final ImageReader images;
  private final Map<String, KernelLibrary> libraries = new HashMap<>();

  /**
   * The kernels compiled for an architecture.
   *
   * @param device loads them
   * @param architecture such as {@code sm_90a}
   */
  public KernelCatalog(Device device, String architecture) {
    this(device, architecture, KernelImages::read);
  }

  /**
   * The kernels of other images than the build's.
   *
   * @param device loads them
   * @param architecture such as {@code sm_90a}
   * @param images gives the bytes of each
   */
  public KernelCatalog(Device device, String architecture, ImageReader images) {
    this.device = device;
    this.architecture = architecture;
    this.images = images;
  }

  /** Where images come from. */
  @FunctionalInterface
  public interface ImageReader {
    /**
     * Reads an image.
     *
     * @param image which
     * @return its bytes
     * @throws IOException if it cannot be read
     */
    byte[] read(KernelImage image) throws IOException;
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
    return isHopper() ? LaunchConfig.Start.WHEN_PREVIOUS_ALLOWS : LaunchConfig.Start.AFTER_PREVIOUS;
  }

  /** Whether the images use what only compute capability 9.0 has. */
  boolean isHopper() {
    return architecture.equals("sm_90a") || architecture.equals("compute_90a");
  }

  private KernelLibrary load(String image) {
    try {
      return device.load(images.read(new KernelImage(architecture, image)));
    } catch (IOException e) {
      throw new UncheckedIOException("kernel image " + architecture + "/" + image, e);
    }
  }
}
