package dev.nibble.quantizer.tensor;

import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;

/**
 * Chooses the provider. Nothing that links to the Vector API is loaded before its module is known
 * to be there.
 */
final class ProviderChoice {
  private static final String PROPERTY = "nibble.ops";
  private static final String BITS_PROPERTY = "nibble.vector.bits";
  private static final String MODULE = "jdk.incubator.vector";

  private ProviderChoice() {}

  /** The providers there are. */
  enum Provider {
    SCALAR,
    VECTOR
  }

  /** What keeps this process from using vectors, found and logged when it is first asked for. */
  private static final class Obstacle {
    static final Optional<String> FOUND = find();

    private static Optional<String> find() {
      Module own = ProviderChoice.class.getModule();
      if (!ModuleLayer.boot().findModule(MODULE).map(own::canRead).orElse(false)) {
        return Optional.of("the Vector API is missing: start Java with --add-modules " + MODULE);
      }
      return Lanes.fast() ? Optional.empty() : Optional.of("the processor has no AVX2");
    }
  }

  /** Logs once, when it is initialized. */
  private static final class Warning {
    static {
      LoggerFactory.getLogger(TensorOperations.class)
          .warn("computing many times slower than possible: {}", Obstacle.FOUND.orElse(""));
    }

    static void giveOnce() {}
  }

  /**
   * The vector width that a property asks for.
   *
   * @return 128, 256 or 512; empty for the processor's own
   * @throws IllegalArgumentException if the property is anything else
   */
  static OptionalInt vectorBits() {
    @Nullable String bits = System.getProperty(BITS_PROPERTY);
    return switch (bits) {
      case null -> OptionalInt.empty();
      case "128", "256", "512" -> OptionalInt.of(Integer.parseInt(bits));
      default ->
          throw new IllegalArgumentException(
              BITS_PROPERTY + "=" + bits + ": expected 128, 256 or 512");
    };
  }

  static TensorOperations open(int threads) {
    vectorBits(); // before a class is initialized with it, where the exception would be hidden
    @Nullable String forced = System.getProperty(PROPERTY);
    return switch (choose(forced, Obstacle.FOUND)) {
      case SCALAR -> {
        if (forced == null) {
          Warning.giveOnce();
        }
        yield new ScalarOperations();
      }
      case VECTOR -> new VectorOperations(threads);
    };
  }

  /**
   * Chooses.
   *
   * @param forced {@code scalar}, {@code vector}, or null to take what is there
   * @param obstacle what keeps vectors from being used, if anything does
   * @throws IllegalArgumentException if another provider is named, or vectors are forced in vain
   */
  static Provider choose(@Nullable String forced, Optional<String> obstacle) {
    return switch (forced) {
      case null -> obstacle.isEmpty() ? Provider.VECTOR : Provider.SCALAR;
      case "scalar" -> Provider.SCALAR;
      case "vector" -> {
        if (obstacle.isPresent()) {
          throw new IllegalArgumentException(PROPERTY + "=vector: " + obstacle.get());
        }
        yield Provider.VECTOR;
      }
      default ->
          throw new IllegalArgumentException(
              PROPERTY + "=" + forced + ": expected scalar or vector");
    };
  }
}
