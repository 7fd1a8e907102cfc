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

  /** The images are all of them, or none where the build had no CUDA compiler. */
  @Test
  void everyKernelHasEveryArchitecture() throws IOException {
    List<KernelImage> images = KernelImages.list();
    Set<KernelImage> complete = new HashSet<>();
    Path sources = Path.of(System.getProperty("project.root"), "native", "src");
    try (DirectoryStream<Path> kernels = Files.newDirectoryStream(sources, "*.cu")) {
      for (Path kernel : kernels) {
        String name = kernel.getFileName().toString().replace(".cu", "");
        for (String architecture : System.getProperty("cuda.architectures").split(" ", -1)) {
          complete.add(new KernelImage(architecture, name));
        }
      }
    }
    assertFalse(complete.isEmpty());
    assertEquals(images.isEmpty() ? Set.of() : complete, new HashSet<>(images));
    assertEquals(new HashSet<>(images).size(), images.size(), "listed twice");
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
