package dev.nibble.runtime;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedChecksums;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * What halves instead of floats do to a model, whoever computes with them: a copy whose embeddings
 * have their last bits drawn anew. Codes of few bits that lie on a rounding edge fall either way,
 * and no two correct engines agree better than a model agrees with its copy.
 */
public final class RoundingNoise {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  /** The last bit of a half, for floats. */
  private static final float HALF_ULP = 0x1p-11f;

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

  /** Writes the copy of a packed model, its codes as they are. */
  public static void copyPacked(Path source, Path target, long seed) throws IOException {
    Files.createDirectories(target);
    for (String name : PackedChecksums.coveredFiles()) {
      if (Files.exists(source.resolve(name))) {
        Files.copy(source.resolve(name), target.resolve(name));
      }
    }
    try (Checkpoint checkpoint = Checkpoint.open(source)) {
      String embedding = TensorNames.of(checkpoint.config().architecture()).embedding().weight();
      List<TensorInfo> infos = new ArrayList<>();
      for (String name : checkpoint.names()) {
        infos.add(checkpoint.info(name).orElseThrow());
      }
      try (SafetensorsWriter writer = SafetensorsWriter.createPacked(target, infos)) {
        for (String name : checkpoint.names()) {
          Tensor tensor = checkpoint.find(name).orElseThrow();
          writer.write(
              name, name.equals(embedding) ? disturbed(tensor, new Random(seed)) : tensor.data());
        }
        writer.finish();
      }
    }
  }

  private static MemorySegment disturbed(Tensor tensor, Random random) {
    byte[] bytes = tensor.data().toArray(ValueLayout.JAVA_BYTE);
    ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    boolean single = tensor.dtype() == DType.F32;
    for (int i = 0; i < bytes.length; i += tensor.dtype().bytes()) {
      if (single) {
        data.putFloat(i, data.getFloat(i) * (1 + HALF_ULP * (2 * random.nextFloat() - 1)));
      } else {
        bytes[i] = (byte) (bytes[i] ^ random.nextInt(2));
      }
    }
    return MemorySegment.ofArray(bytes);
  }

  /** Standard deviation of what one differs from the other by. */
  public static double deviation(float[] expected, float[] found) {
    double sum = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = found[i] - expected[i];
      sum += difference * difference;
    }
    return Math.sqrt(sum / expected.length);
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
