package dev.nibble.quantizer.method;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** Copies of the tiny models with a tokenizer of 256 tokens, one a byte. */
final class ByteModels {
  private ByteModels() {}

  /** Copies a tiny model, such as {@code opt}, into a folder, unless it is there already. */
  static Path copy(String model, Path folder) throws IOException {
    Path copy = folder.resolve(model);
    if (Files.exists(copy)) {
      return copy;
    }
    Files.createDirectory(copy);
    for (String name : new String[] {"config.json", "model.safetensors"}) {
      Files.copy(FolderQuantizerTest.tiny(model).resolve(name), copy.resolve(name));
    }
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode vocabulary = mapper.createObjectNode();
    int free = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b > ' ' && b <= '~') || (b >= 0xa1 && b != 0xad);
      vocabulary.put(Character.toString(printable ? b : free++), b);
    }
    mapper.writeValue(copy.resolve("vocab.json").toFile(), vocabulary);
    Files.writeString(copy.resolve("merges.txt"), "");
    return copy;
  }

  /** The same with one number of an F32 tensor changed. */
  static Path changed(String model, Path folder, String tensor, float value) throws IOException {
    Path copy = copy(model, Files.createDirectories(folder));
    Path file = copy.resolve("model.safetensors");
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int header = Math.toIntExact(bytes.getLong(0));
    JsonNode entry =
        new ObjectMapper()
            .readTree(bytes.array(), Long.BYTES, header)
            .get(tensor)
            .get("data_offsets");
    bytes.putFloat(Long.BYTES + header + entry.get(0).asInt() + Float.BYTES, value);
    Files.write(file, bytes.array());
    return copy;
  }
}
