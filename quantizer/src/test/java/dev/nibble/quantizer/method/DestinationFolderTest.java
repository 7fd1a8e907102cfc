package dev.nibble.quantizer.method;

import static dev.nibble.quantizer.method.FolderQuantizerTest.assertOnly;
import static dev.nibble.quantizer.method.FolderQuantizerTest.assertSame;
import static dev.nibble.quantizer.method.FolderQuantizerTest.copy;
import static dev.nibble.quantizer.method.FolderQuantizerTest.files;
import static dev.nibble.quantizer.method.FolderQuantizerTest.quantize;
import static dev.nibble.quantizer.method.FolderQuantizerTest.request;
import static dev.nibble.quantizer.method.FolderQuantizerTest.tiny;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import dev.nibble.quantizer.method.FolderQuantizer.Listener;
import dev.nibble.quantizer.method.FolderQuantizer.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DestinationFolderTest {
  @TempDir Path folder;

  @Test
  void aFilledDestinationIsKeptUnlessReplaced() throws IOException {
    Path packed = folder.resolve("packed");
    Files.createDirectory(packed);
    quantize(tiny("llama3"), packed, "W4A16");
    Map<String, byte[]> before = files(packed);
    assertThrows(FolderExistsException.class, () -> quantize(tiny("llama3"), packed, "W8A16"));
    assertSame(before, files(packed));
    FolderQuantizer.quantize(
        request(tiny("llama3"), packed, "W8A16", Existing.REPLACE, 1), Listener.SILENT);
    try (Checkpoint checkpoint = Checkpoint.open(packed)) {
      assertEquals("W8A16", checkpoint.config().scheme().toString());
    }
    assertOnly(folder, "packed");
  }

  @Test
  void onlyAModelIsReplaced() throws IOException {
    Path photos = Files.createDirectory(folder.resolve("photos"));
    Files.writeString(photos.resolve("one.jpg"), "");
    Path file = Files.writeString(folder.resolve("file"), "");
    for (Path destination : List.of(photos, file)) {
      Request request = request(tiny("llama3"), destination, "W4A16", Existing.REPLACE, 1);
      assertThrows(
          FolderExistsException.class, () -> FolderQuantizer.quantize(request, Listener.SILENT));
    }
    assertOnly(folder, "photos", "file");
    assertTrue(Files.exists(photos.resolve("one.jpg")));
  }

  @Test
  void theSourceIsNeverReplaced() throws IOException {
    Path source = copy(tiny("llama3"), folder.resolve("source"));
    for (Path destination : List.of(source, folder.resolve("x/../source"))) {
      Files.createDirectories(folder.resolve("x"));
      Request request = request(source, destination, "W4A16", Existing.REPLACE, 1);
      assertThrows(
          IllegalArgumentException.class, () -> FolderQuantizer.quantize(request, Listener.SILENT));
    }
    Checkpoint.open(source).close();
  }

  @Test
  void whatADeadRunLeftIsReplaced() throws IOException {
    Path packed = folder.resolve("packed");
    Files.createDirectories(folder.resolve("packed.partial/deep"));
    Files.writeString(folder.resolve("packed.partial/model.safetensors"), "half");
    Files.writeString(folder.resolve("packed.lock"), "dead");
    quantize(tiny("llama3"), packed, "W4A16");
    Map<String, byte[]> whole = files(packed);
    assertOnly(folder, "packed");

    Files.move(packed, folder.resolve("packed.replaced"));
    assertThrows(FolderExistsException.class, () -> quantize(tiny("llama3"), packed, "W4A16"));
    assertSame(whole, files(packed));
    assertOnly(folder, "packed");
  }

  @Test
  void aSecondRunIsToldToWait() throws IOException {
    Path packed = folder.resolve("packed");
    try (DestinationFolder first = DestinationFolder.open(packed, Existing.KEEP)) {
      assertThrows(FolderBusyException.class, () -> quantize(tiny("llama3"), packed, "W4A16"));
      assertTrue(Files.exists(first.partial()));
    }
    assertOnly(folder);
    quantize(tiny("llama3"), packed, "W4A16");
    assertOnly(folder, "packed");
  }
}
