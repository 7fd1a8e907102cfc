package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;

/**
 * {@code model.safetensors.index.json}: which file holds which tensor.
 *
 * @param path the index
 * @param shards for each file name the tensors it must hold, no more and no less
 */
record ShardIndex(Path path, SequencedMap<String, Set<String>> shards) {
  static final String FILE_NAME = "model.safetensors.index.json";
  private static final int MAX_BYTES = 64 << 20;

  static ShardIndex read(Path folder) throws IOException {
    Path path = folder.resolve(FILE_NAME);
    ObjectNode index = StrictJson.object(path, ModelFile.read(path, MAX_BYTES));
    if (!(index.get("weight_map") instanceof ObjectNode weightMap)) {
      throw new ModelFormatException(path, "weight_map", "expected an object, found none");
    }
    SequencedMap<String, Set<String>> shards = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : weightMap.properties()) {
      String file = entry.getValue().textValue();
      if (file == null || !isPlainName(file)) {
        throw new ModelFormatException(
            path,
            "weight_map." + entry.getKey(),
            "expected the name of a .safetensors file of this folder, found " + entry.getValue());
      }
      shards.computeIfAbsent(file, _ -> new HashSet<>()).add(entry.getKey());
    }
    return new ShardIndex(path, shards);
  }

  /** Checks that a shard holds exactly the tensors the index says. */
  void requireSameTensors(String fileName, SafetensorsFile shard) throws ModelFormatException {
    Set<String> missing = new HashSet<>(shards.getOrDefault(fileName, Set.of()));
    for (SafetensorsHeader.Entry entry : shard.header().entries()) {
      if (!missing.remove(entry.info().name())) {
        throw new ModelFormatException(
            shard.path(),
            "tensor '" + entry.info().name() + "'",
            FILE_NAME + " does not say that it is in this file");
      }
    }
    if (!missing.isEmpty()) {
      throw new ModelFormatException(
          path,
          "weight_map." + missing.stream().min(String::compareTo).orElseThrow(),
          "expected the tensor in " + fileName + ", which lacks it");
    }
  }

  private static boolean isPlainName(String name) {
    return name.endsWith(".safetensors")
        && name.length() <= 255
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ')
        && !name.startsWith(".");
  }
}
