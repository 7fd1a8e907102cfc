package dev.nibble.runtime;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * What halves instead of floats do to a model, whoever computes with them: a copy whose embeddings
 * have their last bits drawn anew. Codes of few bits that lie on a rounding edge fall either way,
 * and no two correct engines agree better than a model agrees with its copy.
 */
public final class RoundingNoise {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  private RoundingNoise() {}

  /** Writes the copy of a model whose embeddings are halves. */
  public static void copy(Path source, Path target, long seed) throws IOException {
    Files.createDirectories(target);
    Random random = new Random(seed);
    int drawn = 0;
    try (DirectoryStream<Path> files = Files.newDirectoryStream(source)) {
      for (Path file : files) {
        byte[] bytes = Files.readAllBytes(file);
        String name = file.getFileName().toString();
        if (name.endsWith(".safetensors") && drawLastBits(bytes, random)) {
          drawn++;
        }
        Files.write(target.resolve(name), bytes);
      }
    }
    if (drawn != 1) {
      throw new IllegalStateException(source + ": " + drawn + " files with " + EMBEDDING);
    }
  }

  private static boolean drawLastBits(byte[] bytes, Random random) throws IOException {
    int header = (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
    JsonNode tensor = new ObjectMapper().readTree(bytes, Long.BYTES, header).get(EMBEDDING);
    if (tensor == null) {
      return false;
    }
    int data = Long.BYTES + header;
    JsonNode offsets = tensor.get("data_offsets");
    for (int i = data + offsets.get(0).asInt(); i < data + offsets.get(1).asInt(); i += 2) {
      bytes[i] = (byte) (bytes[i] ^ random.nextInt(2));
    }
    return true;
  }

  /** Squared error over squares. */
  public static double error(float[] expected, float[] found) {
    if (expected.length != found.length) {
      throw new IllegalArgumentException(found.length + " logits for " + expected.length);
    }
    double error = 0;
    double squares = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = (double) found[i] - expected[i];
      error += difference * difference;
      squares += (double) expected[i] * expected[i];
    }
    return error / squares;
  }
}
