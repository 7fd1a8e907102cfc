package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
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
  private static final String WEIGHT_MAP = "weight_map";
  private static final int MAX_BYTES = 64 << 20;

  static ShardIndex read(Path folder) throws IOException {
    Path path = folder.resolve(FILE_NAME);
    ObjectNode index = StrictJson.object(path, ModelFile.read(path, MAX_BYTES));
    if (!(index.get(WEIGHT_MAP) instanceof ObjectNode weightMap)) {
      throw new ModelFormatException(path, WEIGHT_MAP, "expected an object, found none");
    }
    SequencedMap<String, Set<String>> shards = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> entry : weightMap.properties()) {
      String file = entry.getValue().textValue();
      if (file == null || !isPlainName(file)) {
        throw new ModelFormatException(
            path,
            WEIGHT_MAP + "." + entry.getKey(),
            "expected the name of a .safetensors file of this folder, found " + entry.getValue());
      }
      shards.computeIfAbsent(file, _ -> new HashSet<>()).add(entry.getKey());
    }
    if (shards.isEmpty()) {
      throw new ModelFormatException(path, "weight_map", "expected tensors, found none");
    }
    return new ShardIndex(path, shards);
  }

  /**
   * A file to be written.
   *
   * @param file its name
   * @param tensors what it holds
   */
  record Shard(String file, List<TensorInfo> tensors) {}

  /** The index of files to be written. */
  static byte[] json(List<Shard> shards) throws IOException {
    ObjectNode json = StrictJson.newObject();
    ObjectNode metadata = json.putObject("metadata");
    ObjectNode weightMap = json.putObject(WEIGHT_MAP);
    long bytes = 0;
    for (Shard shard : shards) {
      for (TensorInfo tensor : shard.tensors()) {
        weightMap.put(tensor.name(), shard.file());
        bytes = Math.addExact(bytes, tensor.bytes());
      }
    }
    metadata.put("total_size", bytes);
    return StrictJson.bytes(json);
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
          WEIGHT_MAP + "." + missing.stream().min(String::compareTo).orElseThrow(),
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
