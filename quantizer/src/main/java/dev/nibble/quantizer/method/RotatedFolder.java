package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedChecksums;
import dev.nibble.quantizer.format.SafetensorsWriter;
import dev.nibble.quantizer.format.StrictJson;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.tensor.WorkerThreads;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Writes a checkpoint that computes what another does, rotated by {@link ModelRotation}. Its
 * blocks' tensors are F32; embeddings and head keep their element type. The head is a tensor of its
 * own, as the final norm's weights are folded into it. Not thread-safe.
 */
final class RotatedFolder {
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final String CONFIG = "config.json";
  private static final int BAND_ROWS = 1024;

  private final Checkpoint source;
  private final ModelConfig config;
  private final TensorNames names;
  private final ModelRotation rotation;

  private RotatedFolder(Checkpoint source, ModelRotation rotation) {
    this.source = source;
    this.rotation = rotation;
    config = source.config();
    names = TensorNames.of(config.architecture());
  }

  /**
   * Writes a folder.
   *
   * @param source an unquantized checkpoint
   * @param folder an empty folder
   * @param seed of the rotations
   * @param threads threads that compute; they change no bit
   * @throws ModelFormatException if a tensor is missing, or not finite
   * @throws IOException if reading or writing fails
   */
  static void write(Checkpoint source, Path folder, long seed, int threads) throws IOException {
    ModelConfig config = source.config();
    boolean centred = config.architecture() == Architecture.OPT;
    try (WorkerThreads workers = new WorkerThreads(threads)) {
      write(source, folder, ModelRotation.random(config, centred, seed, workers));
    }
  }

  /** The same with any rotation; where a norm subtracts the mean, it must keep it. */
  static void write(Checkpoint source, Path folder, ModelRotation rotation) throws IOException {
    copyFiles(source.folder(), folder);
    RotatedFolder rotated = new RotatedFolder(source, rotation);
    try (SafetensorsWriter writer =
        SafetensorsWriter.create(
            folder.resolve("model.safetensors"), rotated.tensors(), Map.of("format", "pt"))) {
      rotated.writeOutside(writer);
      for (int layer = 0; layer < source.config().layers(); layer++) {
        rotated.writeBlock(layer, writer);
      }
      writer.finish();
    }
  }

  private static void copyFiles(Path from, Path to) throws IOException {
    for (String name : PackedChecksums.coveredFiles()) {
      Path file = from.resolve(name);
      if (name.equals(CONFIG)) {
        // One tensor can no longer be embedding and head.
        Files.writeString(
            to.resolve(name),
            StrictJson.with(file, Files.readAllBytes(file), "tie_word_embeddings", false));
      } else if (Files.isRegularFile(file)) {
        Files.copy(file, to.resolve(name));
      }
    }
  }

  private List<TensorInfo> tensors() {
    List<TensorInfo> tensors = new ArrayList<>();
    List<String> kept = new ArrayList<>();
    kept.add(names.embedding().weight());
    kept.add(names.head().weight());
    names.positions().ifPresent(module -> kept.add(module.weight()));
    for (String name : source.names()) {
      TensorInfo info = source.info(name).orElseThrow();
      if (!TensorNames.isRedundant(name) && !name.equals(names.head().weight())) {
        tensors.add(kept.contains(name) ? info : new TensorInfo(name, DType.F32, info.shape()));
      }
    }
    TensorInfo head = source.info(headSource()).orElseThrow();
    tensors.add(new TensorInfo(names.head().weight(), head.dtype(), head.shape()));
    return tensors;
  }

  private String headSource() {
    return (config.tiedEmbeddings() ? names.embedding() : names.head()).weight();
  }

  private void writeOutside(SafetensorsWriter writer) throws IOException {
    int hidden = config.hiddenSize();
    float[] ones = new float[hidden];
    Arrays.fill(ones, 1f);
    rows(names.embedding().weight(), names.embedding().weight(), ones, writer);
    if (names.positions().isPresent()) {
      String positions = names.positions().get().weight();
      rows(positions, positions, ones, writer);
    }
    ModuleName norm = names.finalNorm();
    float[] weight = source.require(norm.weight(), hidden).toFloats();
    rows(headSource(), names.head().weight(), weight, writer);
    floats(norm.weight(), ones, writer);
    Optional<Tensor> bias = source.find(norm.bias());
    if (bias.isPresent()) {
      // W (n g + b) = (W g) (n + b / g).
      float[] shift = bias.get().toFloats();
      for (int i = 0; i < hidden; i++) {
        if (weight[i] == 0 && shift[i] != 0) {
          throw new ModelFormatException(
              source.file(norm.weight()),
              norm.weight(),
              "expected weights that are not 0, which can be folded into the head; found 0 at "
                  + i);
        }
        shift[i] = shift[i] == 0 ? 0 : shift[i] / weight[i];
      }
      floats(norm.bias(), rotation.residual(shift), writer);
    }
  }

  /** Rows of the residual stream, scaled and rotated, a band at a time. */
  private void rows(String from, String to, float[] scale, SafetensorsWriter writer)
      throws IOException {
    Tensor tensor = source.find(from).orElseThrow();
    int hidden = scale.length;
    long rowBytes = (long) hidden * tensor.dtype().bytes();
    long rows = tensor.data().byteSize() / rowBytes;
    for (long first = 0; first < rows; first += BAND_ROWS) {
      long count = Math.min(BAND_ROWS, rows - first);
      Tensor band =
          new Tensor(
              from,
              tensor.dtype(),
              List.of(count, (long) hidden),
              tensor.data().asSlice(first * rowBytes, count * rowBytes));
      float[] x = band.toFloats();
      for (int i = 0; i < x.length; i++) {
        x[i] *= scale[i % hidden];
      }
      writer.write(to, encoded(rotation.residual(x), tensor.dtype()));
    }
  }

  private static MemorySegment encoded(float[] x, DType dtype) {
    MemorySegment bytes =
        MemorySegment.ofArray(new byte[Math.multiplyExact(x.length, dtype.bytes())]);
    switch (dtype) {
      case F32 -> MemorySegment.copy(x, 0, bytes, FLOAT, 0, x.length);
      case F16 -> {
        for (int i = 0; i < x.length; i++) {
          bytes.set(SHORT, 2L * i, Float.floatToFloat16(x[i]));
        }
      }
      case BF16 -> {
        for (int i = 0; i < x.length; i++) {
          int bits = Float.floatToRawIntBits(x[i]);
          bytes.set(SHORT, 2L * i, (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16));
        }
      }
      case I8, U8, U16, I32, I64 -> throw new IllegalStateException("embeddings of " + dtype);
    }
    return bytes;
  }

  private void writeBlock(int layer, SafetensorsWriter writer) throws IOException {
    TransformerBlock block = TransformerBlock.load(source, config, layer);
    rotation.rotate(block);
    parameters(names.attentionNorm(layer), block.attentionNorm(), writer);
    parameters(names.mlpNorm(layer), block.mlpNorm(), writer);
    if (block.queryNorm().isPresent()) {
      floats(names.queryNorm(layer).orElseThrow().weight(), block.queryNorm().get(), writer);
    }
    if (block.keyNorm().isPresent()) {
      floats(names.keyNorm(layer).orElseThrow().weight(), block.keyNorm().get(), writer);
    }
    for (LinearRole role : block.roles()) {
      parameters(block.name(role), block.linear(role), writer);
    }
  }

  private static void parameters(ModuleName module, Parameters values, SafetensorsWriter writer)
      throws IOException {
    floats(module.weight(), values.weight(), writer);
    if (values.bias().isPresent()) {
      floats(module.bias(), values.bias().get(), writer);
    }
  }

  private static void floats(String name, float[] values, SafetensorsWriter writer)
      throws IOException {
    writer.write(name, encoded(values, DType.F32));
  }
}
