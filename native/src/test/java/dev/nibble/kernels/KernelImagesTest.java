package dev.nibble.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class KernelImagesTest {
  @Test
  void everyListedImageOpens() throws IOException {
    for (KernelImage image : KernelImages.list()) {
      assertTrue(KernelImages.read(image).length > 0, image::toString);
    }
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
