package dev.nibble.kernels;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Opens kernel images by name and architecture. An image is the resource {@code
 * META-INF/kernels/ARCHITECTURE/NAME}: a cubin for {@code sm_90a} and the like, PTX text for {@code
 * compute_80}. The build writes {@code META-INF/kernels/catalog}, a line of architecture and name
 * for each: what the CUDA compiler makes or, without it, the committed PTX. Thread-safe.
 */
public final class KernelImages {
  private static final String ROOT = "/META-INF/kernels/";

  private KernelImages() {}

  /**
   * Lists the images.
   *
   * @return the images
   */
  public static List<KernelImage> list() {
    try (InputStream catalog = KernelImages.class.getResourceAsStream(ROOT + "catalog")) {
      return catalog == null
          ? List.of()
          : parse(new String(catalog.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException("kernel images: the catalog cannot be read", e);
    }
  }

  /**
   * Reads an image.
   *
   * @param image of the {@link #list}
   * @return its bytes, as the driver's loader takes them
   * @throws IOException if there is no such image, or it cannot be read
   */
  public static byte[] read(KernelImage image) throws IOException {
    String path = ROOT + image.architecture() + "/" + image.name();
    try (InputStream in = KernelImages.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new FileNotFoundException("kernel images: no " + image + " in " + list());
      }
      return in.readAllBytes();
    }
  }

  static List<KernelImage> parse(String catalog) {
    return catalog
        .lines()
        .map(line -> {
          int space = line.indexOf(' ');
          if (space < 0) {
            throw new IllegalStateException(
                "kernel images: expected 'ARCHITECTURE NAME' in the catalog, found '" + line + "'");
          }
          return new KernelImage(line.substring(0, space), line.substring(space + 1));
        })
        .toList();
  }
}
