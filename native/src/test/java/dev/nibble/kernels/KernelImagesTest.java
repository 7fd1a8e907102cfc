package dev.nibble.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class KernelImagesTest {
  @Test
  void everyListedImageOpens() throws IOException {
    for (KernelImage image : KernelImages.list()) {
      assertTrue(KernelImages.read(image).length > 0, image::toString);
    }
  }

  /** Those of the CUDA compiler, or the committed ones where the build had none. */
  @Test
  void everyKernelHasEveryArchitecture() throws IOException {
    List<KernelImage> images = KernelImages.list();
    boolean committed = images.contains(new KernelImage("compute_90a", "act_quant"));
    String architectures =
        committed ? "compute_80 compute_90a" : System.getProperty("cuda.architectures");
    assertEquals(complete(architectures), new HashSet<>(images));
    assertEquals(new HashSet<>(images).size(), images.size(), "listed twice");
  }

  /** An image of each kernel for each architecture. */
  static Set<KernelImage> complete(String architectures) throws IOException {
    Set<KernelImage> complete = new HashSet<>();
    Path sources = Path.of(System.getProperty("project.root"), "native", "src");
    try (DirectoryStream<Path> kernels = Files.newDirectoryStream(sources, "*.cu")) {
      for (Path kernel : kernels) {
        String name = kernel.getFileName().toString().replace(".cu", "");
        for (String architecture : architectures.split(" ", -1)) {
          complete.add(new KernelImage(architecture, name));
        }
      }
    }
    assertFalse(complete.isEmpty());
    return complete;
  }

  @Test
  void anAbsentImageIsNamed() {
    KernelImage absent = new KernelImage("sm_10", "nothing");
    FileNotFoundException e =
        assertThrows(FileNotFoundException.class, () -> KernelImages.read(absent));
    assertTrue(e.getMessage().contains("sm_10/nothing"), e::getMessage);
  }

  @Test
  void parsesTheCatalog() {
    assertEquals(
        List.of(new KernelImage("sm_90a", "act_quant"), new KernelImage("compute_80", "act_quant")),
        KernelImages.parse("sm_90a act_quant\ncompute_80 act_quant\n"));
    assertEquals(List.of(), KernelImages.parse(""));
    assertThrows(IllegalStateException.class, () -> KernelImages.parse("sm_90a\n"));
  }
}
