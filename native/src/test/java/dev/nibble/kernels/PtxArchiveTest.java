package dev.nibble.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The committed PTX: whole, and of the sources that are here. */
class PtxArchiveTest {
  private static final Path MODULE = Path.of(System.getProperty("project.root"), "native");
  private static final Path ARCHIVE = MODULE.resolve("ptx");
  private static final long MOST_BYTES = 3 << 20;

  @Test
  void theCommittedPtxIsOfTheseSources() throws IOException {
    assertEquals(
        PtxArchive.digest(MODULE),
        PtxArchive.packedDigest(ARCHIVE),
        "native/ptx is of other sources than native/src: run native/pack-ptx");
  }

  @Test
  void everyKernelIsThereAndNamesItsArchitecture() throws IOException {
    Map<KernelImage, String> images = PtxArchive.read(ARCHIVE);
    assertEquals(KernelImagesTest.complete("compute_80 compute_90a"), images.keySet());
    images.forEach((image, ptx) -> {
      String target = image.architecture().replace("compute_", "sm_");
      assertTrue(ptx.contains("\n.target " + target + "\n"), image::toString);
      assertTrue(ptx.contains(".visible .entry "), image::toString);
    });
  }

  @Test
  void theArchiveIsSmall() throws IOException {
    assertTrue(Files.size(ARCHIVE.resolve("kernels.xz")) <= MOST_BYTES);
  }

  @Test
  void aChangedSourceChangesTheDigest(@TempDir Path copy) throws IOException {
    for (String folder : new String[] {"src", "include"}) {
      Files.createDirectory(copy.resolve(folder));
    }
    Files.writeString(copy.resolve("compile-images"), "nvcc -O3");
    Files.writeString(copy.resolve("pack-ptx"), "");
    Path kernel = Files.writeString(copy.resolve("src/a.cu"), "a");
    String before = PtxArchive.digest(copy);
    Files.writeString(kernel, "b");
    String after = PtxArchive.digest(copy);
    assertNotEquals(before, after);
    Files.writeString(copy.resolve("compile-images"), "nvcc -O2");
    assertNotEquals(after, PtxArchive.digest(copy));
  }

  @Test
  void registersAndLabelsAreCountedFromTheLast() {
    String ptx =
        """
        .reg .b32 %r<9>; // eight
        \tadd.s32 \t%r7, %r5, 12;
        $L__BB3_17:
        \t@%p2 bra $L__BB3_16;
        """;
    String packed = PtxText.pack(ptx);
    assertEquals(
        """
        .reg .b32 %r<9>;
        add.s32 %r7, %r-2, 12;
        $L__BB3_17:
        @%p2 bra $L__BB3_-1;
        """,
        packed);
    assertEquals(packed.replace("%r-2", "%r5").replace("_-1", "_16"), PtxText.unpack(packed));
  }

  @Test
  void aDamagedArchiveIsRefused(@TempDir Path folder) throws IOException {
    byte[] whole = Files.readAllBytes(ARCHIVE.resolve("kernels.xz"));
    Files.write(folder.resolve("kernels.xz"), Arrays.copyOf(whole, whole.length - 100));
    assertThrows(IOException.class, () -> PtxArchive.read(folder));
  }
}
