package dev.nibble.runtime.model;

import dev.nibble.quantizer.format.Architecture;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModelConfig.Activation;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.tensor.WeightMatrix;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Models of real shapes with random weights, for measuring speed without a checkpoint. Weights have
 * the deviation 1 / sqrt(in), so activations keep their size through any number of blocks.
 */
final class SyntheticWeights {
  private static final long SEED = 0x6e6962626c65L;

  private static final long ALIGNMENT = 64;

  /** Fills go in parallel over pieces of this size. */
  private static final long PIECE_BYTES = 1L << 22;

  /** Of a file without contents: the tensors of a model share a few. */
  private static final long HOLE_BYTES = 1L << 32;

  private static final Map<String, ModelConfig> SHAPES =
      Map.of(
          "llama-2-7b", llama(32000, 4096, 11008, 32, 32, 32, 4096, 1e4),
          "llama-2-13b", llama(32000, 5120, 13824, 40, 40, 40, 4096, 1e4),
          "llama-3-8b", llama(128256, 4096, 14336, 32, 32, 8, 8192, 5e5),
          "llama-3.1-8b", llama(128256, 4096, 14336, 32, 32, 8, 131072, 5e5),
          "tinyllama-1.1b", llama(32000, 2048, 5632, 22, 32, 4, 2048, 1e4),
          "opt-6.7b", opt(50272, 4096, 16384, 32, 32, 2048),
          "books-8m", llama(8192, 256, 768, 8, 4, 2, 1024, 1e4));

  private final ModelConfig config;
  private final QuantScheme scheme;
  private final Arena arena;
  private final Contents contents;
  private long seed = SEED;
  private long bytes;
  private MemorySegment hole = MemorySegment.NULL;
  private long holeTaken;

  /** What tensors hold. */
  private enum Contents {
    RANDOM,
    NONE
  }

  private SyntheticWeights(ModelConfig config, Arena arena, Contents contents) {
    this.config = config;
    this.arena = arena;
    this.contents = contents;
    scheme = config.scheme();
  }

  static List<String> shapes() {
    return SHAPES.keySet().stream().sorted().toList();
  }

  static ModelWeights make(String shape, QuantScheme scheme) {
    return new SyntheticWeights(config(shape, scheme), Arena.ofShared(), Contents.RANDOM).weights();
  }

  /** The same without contents: reading them throws, as their arena is closed. */
  static ModelWeights sizes(String shape, QuantScheme scheme) {
    try (Arena arena = Arena.ofConfined()) {
      return new SyntheticWeights(config(shape, scheme), arena, Contents.NONE).weights();
    }
  }

  private static ModelConfig config(String shape, QuantScheme scheme) {
    ModelConfig plain = SHAPES.get(shape);
    if (plain == null) {
      throw new IllegalArgumentException(
          "synthetic shape '" + shape + "': expected one of " + String.join(", ", shapes()));
    }
    return quantized(plain, scheme);
  }

  private ModelWeights weights() {
    int hidden = config.hiddenSize();
    int inner = config.intermediateSize();
    int queries = config.heads() * config.headDim();
    int keys = config.kvHeads() * config.headDim();
    boolean gated = config.activation() == Activation.SILU;
    WeightMatrix.Dense embedding = dense(config.vocabSize(), hidden);
    Optional<WeightMatrix.Dense> positions =
        config.rope().isPresent()
            ? Optional.empty()
            : Optional.of(dense(config.maxPositions(), hidden));
    List<Block> blocks =
        IntStream.range(0, config.layers())
            .mapToObj(layer ->
                new Block(
                    norm(hidden),
                    linear("q", queries, hidden),
                    linear("k", keys, hidden),
                    linear("v", keys, hidden),
                    linear("o", hidden, queries),
                    Optional.empty(),
                    Optional.empty(),
                    Optional.empty(),
                    norm(hidden),
                    gated ? Optional.of(linear("gate", inner, hidden)) : Optional.empty(),
                    linear("up", inner, hidden),
                    linear("down", hidden, inner)))
            .toList();
    WeightMatrix head =
        scheme.headBits() < 16
            ? packed(scheme.headBits(), 0, config.vocabSize(), hidden)
            : config.tiedEmbeddings() ? embedding : dense(config.vocabSize(), hidden);
    return new ModelWeights(
        config,
        embedding,
        positions,
        blocks,
        norm(hidden),
        Linear.plain("lm_head", head, Optional.empty()),
        bytes,
        contents == Contents.RANDOM ? arena::close : () -> {});
  }

  private Linear linear(String name, int out, int in) {
    boolean biased = !config.biased().isEmpty();
    return Linear.plain(
        name,
        scheme.quantizesWeights()
            ? packed(scheme.weightBits(), scheme.groupSize(), out, in)
            : dense(out, in),
        biased ? Optional.of(new float[out]) : Optional.empty());
  }

  private Norm norm(int width) {
    float[] weight = new float[width];
    Arrays.fill(weight, 1f);
    boolean layer = config.architecture() == Architecture.OPT;
    return new Norm(
        layer ? Norm.Kind.LAYER : Norm.Kind.RMS,
        weight,
        layer ? Optional.of(new float[width]) : Optional.empty(),
        Optional.empty());
  }

  /** F16 of random sign and mantissa and one exponent. */
  private WeightMatrix.Dense dense(int rows, int columns) {
    long everyHalf = 0x0001_0001_0001_0001L;
    MemorySegment data = allocate(2L * rows * columns);
    fill(
        data,
        Short.toUnsignedLong(SyntheticValues.RANDOM_OF_HALF) * everyHalf,
        SyntheticValues.exponent(columns) * everyHalf);
    return new WeightMatrix.Dense(DType.F16, rows, columns, data);
  }

  private WeightMatrix.Packed packed(int bits, int groupSize, int rows, int columns) {
    PackedLayout layout = new PackedLayout(bits, rows, columns, groupSize);
    MemorySegment codes = allocate(layout.qweightBytes());
    fill(codes, -1L, 0);
    MemorySegment scales = allocate(Math.multiplyExact(2L, layout.scaleCount()));
    if (contents == Contents.RANDOM) {
      fillShorts(scales, SyntheticValues.scale(bits, columns));
    }
    MemorySegment zeros = null;
    if (!scheme.symmetric()) {
      zeros = allocate(layout.scaleCount());
      if (contents == Contents.RANDOM) {
        zeros.fill(SyntheticValues.zero(bits));
      }
    }
    return new WeightMatrix.Packed(layout, codes, scales, zeros);
  }

  private MemorySegment allocate(long size) {
    bytes = Math.addExact(bytes, size);
    return switch (contents) {
      case RANDOM -> arena.allocate(size, ALIGNMENT);
      case NONE -> reserve(size);
    };
  }

  /** Addresses without memory: files that take no room are mapped and never touched. */
  private MemorySegment reserve(long size) {
    if (hole.byteSize() - holeTaken < size) {
      hole = mapHole(Math.max(size, HOLE_BYTES));
      holeTaken = 0;
    }
    MemorySegment reserved = hole.asSlice(holeTaken, size);
    holeTaken = Math.min(hole.byteSize(), Math.ceilDiv(holeTaken + size, ALIGNMENT) * ALIGNMENT);
    return reserved;
  }

  private MemorySegment mapHole(long size) {
    try {
      Path path = Files.createTempFile("nibble", ".sizes");
      try (FileChannel file =
          FileChannel.open(
              path,
              StandardOpenOption.READ,
              StandardOpenOption.WRITE,
              StandardOpenOption.DELETE_ON_CLOSE)) {
        return file.map(FileChannel.MapMode.READ_WRITE, 0, size, arena);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("a file of " + size + " bytes without contents", e);
    }
  }

  private void fill(MemorySegment segment, long and, long or) {
    if (contents == Contents.NONE) {
      return;
    }
    int pieces = Math.toIntExact(Math.ceilDiv(segment.byteSize(), PIECE_BYTES));
    long first = seed;
    seed += pieces;
    IntStream.range(0, pieces)
        .parallel()
        .forEach(piece -> {
          SplittableRandom random = new SplittableRandom(first + piece);
          long from = piece * PIECE_BYTES;
          long to = Math.min(segment.byteSize(), from + PIECE_BYTES);
          long at = from;
          for (; at + Long.BYTES <= to; at += Long.BYTES) {
            segment.set(ValueLayout.JAVA_LONG, at, (random.nextLong() & and) | or);
          }
          for (; at + Short.BYTES <= to; at += Short.BYTES) {
            segment.set(ValueLayout.JAVA_SHORT, at, (short) ((random.nextLong() & and) | or));
          }
        });
  }

  private static void fillShorts(MemorySegment segment, short value) {
    for (long at = 0; at < segment.byteSize(); at += Short.BYTES) {
      segment.set(ValueLayout.JAVA_SHORT, at, value);
    }
  }

  private static ModelConfig quantized(ModelConfig plain, QuantScheme scheme) {
    Optional<QuantizationConfig> quantization =
        scheme.equals(QuantScheme.W16A16)
            ? Optional.empty()
            : Optional.of(
                new QuantizationConfig(
                    1,
                    scheme,
                    "synthetic",
                    Map.of(),
                    Optional.empty(),
                    scheme.weightBits(),
                    List.of()));
    return new ModelConfig(
        plain.architecture(),
        plain.vocabSize(),
        plain.hiddenSize(),
        plain.intermediateSize(),
        plain.layers(),
        plain.heads(),
        plain.kvHeads(),
        plain.headDim(),
        plain.maxPositions(),
        plain.normEpsilon(),
        plain.rope(),
        plain.slidingWindows(),
        plain.tiedEmbeddings(),
        plain.activation(),
        plain.biased(),
        plain.bosIds(),
        plain.eosIds(),
        quantization);
  }

  private static ModelConfig llama(
      int vocab,
      int hidden,
      int inner,
      int layers,
      int heads,
      int kvHeads,
      int positions,
      double theta) {
    return new ModelConfig(
        Architecture.LLAMA,
        vocab,
        hidden,
        inner,
        layers,
        heads,
        kvHeads,
        hidden / heads,
        positions,
        1e-5f,
        Optional.of(new RopeConfig(theta, Optional.empty())),
        Collections.nCopies(layers, 0),
        vocab == 8192,
        Activation.SILU,
        Set.of(),
        List.of(),
        List.of(),
        Optional.empty());
  }

  private static ModelConfig opt(
      int vocab, int hidden, int inner, int layers, int heads, int positions) {
    return new ModelConfig(
        Architecture.OPT,
        vocab,
        hidden,
        inner,
        layers,
        heads,
        heads,
        hidden / heads,
        positions,
        1e-5f,
        Optional.empty(),
        Collections.nCopies(layers, 0),
        true,
        Activation.RELU,
        EnumSet.complementOf(EnumSet.of(LinearRole.GATE)),
        List.of(),
        List.of(),
        Optional.empty());
  }
}
