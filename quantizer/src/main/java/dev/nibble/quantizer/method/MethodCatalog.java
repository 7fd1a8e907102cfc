package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import java.util.List;
import java.util.OptionalInt;

/** The methods that calibrate, by the names that {@code --method} takes. */
public final class MethodCatalog {
  private static final int DEFAULT_EPOCHS = 10;

  private MethodCatalog() {}

  /**
   * What a caller may set; empty for the method's own.
   *
   * @param epochs passes over the calibration windows
   * @param clusters clusters of an input at most (RPTQ)
   * @param parSteps steps of each round of progressive adaptive rounding
   * @param normBits least bits of the inputs that norms make (RPTQ)
   */
  public record Options(
      OptionalInt epochs, OptionalInt clusters, OptionalInt parSteps, OptionalInt normBits) {
    /** Every method's own. */
    public static final Options DEFAULT =
        new Options(
            OptionalInt.empty(), OptionalInt.empty(), OptionalInt.empty(), OptionalInt.empty());

    /**
     * The same with so many passes.
     *
     * @param passes over the calibration windows
     * @return the options
     */
    public Options withEpochs(int passes) {
      return new Options(OptionalInt.of(passes), clusters, parSteps, normBits);
    }

    /**
     * The same with clusters.
     *
     * @param most clusters of an input
     * @return the options
     */
    public Options withClusters(int most) {
      return new Options(epochs, OptionalInt.of(most), parSteps, normBits);
    }

    /**
     * The same with rounds of so many steps.
     *
     * @param steps of each round of progressive adaptive rounding
     * @return the options
     */
    public Options withParSteps(int steps) {
      return new Options(epochs, clusters, OptionalInt.of(steps), normBits);
    }

    /**
     * The same with other bits for some inputs.
     *
     * @param bits least bits of the inputs that norms make
     * @return the options
     */
    public Options withNormBits(int bits) {
      return new Options(epochs, clusters, parSteps, OptionalInt.of(bits));
    }
  }

  /**
   * The names there are.
   *
   * @return names, in the order to show them
   */
  public static List<String> names() {
    return List.of(
        "nearest",
        "gptq",
        "gptaq",
        "nearest+rotate",
        "gptq+rotate",
        "gptaq+rotate",
        "awq",
        "awq+gptq",
        "smoothquant",
        "smoothquant+gptq",
        "smoothquant+gptaq",
        "os+",
        "os+gptq",
        "rptq",
        "adaround",
        "awq+adaround",
        "omniquant",
        "omniquant+par",
        "owq",
        "spqr",
        "llm.int8");
  }

  /**
   * Makes a method.
   *
   * @param name one of {@link #names}
   * @param options what the caller set
   * @return the method
   * @throws IllegalArgumentException if there is no such method, or it does not take an option
   */
  public static BlockMethod create(String name, Options options) {
    if (options.clusters().isPresent() && !name.equals("rptq")) {
      throw new IllegalArgumentException("--clusters: method " + name + " has none");
    }
    if (options.normBits().isPresent() && !name.equals("rptq")) {
      throw new IllegalArgumentException(
          "--norm-bits: method " + name + " gives every input the scheme's bits");
    }
    if (options.parSteps().isPresent() && !name.equals("omniquant+par")) {
      throw new IllegalArgumentException("--par-steps: method " + name + " has no such rounds");
    }
    if (names().contains(name) && name.endsWith(RotatedMethod.SUFFIX)) {
      String rotated = name.substring(0, name.length() - RotatedMethod.SUFFIX.length());
      return new RotatedMethod(create(rotated, options));
    }
    return switch (name) {
      case "nearest" -> recipe(name, options, List.of(), new NearestBlocks());
      case "gptq" -> recipe(name, options, List.of(), Gptq.DEFAULT);
      case "gptaq" -> recipe(name, options, List.of(), Gptaq.DEFAULT);
      case "awq" -> recipe(name, options, List.of(new AwqScaling()), new ClipSearch());
      case "awq+gptq" -> recipe(name, options, List.of(new AwqScaling()), Gptq.DEFAULT);
      case "smoothquant" ->
          recipe(name, options, List.of(SmoothQuant.DEFAULT), new NearestBlocks());
      case "smoothquant+gptq" -> recipe(name, options, List.of(SmoothQuant.DEFAULT), Gptq.DEFAULT);
      case "smoothquant+gptaq" ->
          recipe(name, options, List.of(SmoothQuant.DEFAULT), Gptaq.DEFAULT);
      case "os+" -> recipe(name, options, List.of(new OutlierSuppression()), new NearestBlocks());
      case "os+gptq" -> recipe(name, options, List.of(new OutlierSuppression()), Gptq.DEFAULT);
      case "adaround" -> new BlockRecipe(name, List.of(), adaRound(options));
      case "awq+adaround" -> new BlockRecipe(name, List.of(new AwqScaling()), adaRound(options));
      case "owq" -> onePass(name, options, Owq.DEFAULT);
      case "spqr" -> onePass(name, options, SpQr.DEFAULT);
      case "llm.int8" -> onePass(name, options, new LlmInt8());
      case "rptq" -> {
        refuseEpochs(name, options);
        yield new Rptq(options.clusters().orElse(Rptq.DEFAULT_CLUSTERS), options.normBits());
      }
      case "omniquant" -> new OmniQuant(options.epochs().orElse(DEFAULT_EPOCHS));
      case "omniquant+par" ->
          new OmniQuant(options.epochs().orElse(DEFAULT_EPOCHS))
              .followedBy(
                  new ProgressiveRounding(
                      options.parSteps().orElse(ProgressiveRounding.DEFAULT_STEPS)));
      default ->
          throw new IllegalArgumentException(
              "method " + name + ": unknown; there is: " + String.join(", ", names()));
    };
  }

  private static AdaRound adaRound(Options options) {
    return new AdaRound(options.epochs().orElse(AdaRound.DEFAULT_EPOCHS));
  }

  private static BlockMethod onePass(String name, Options options, BlockMethod method) {
    refuseEpochs(name, options);
    return method;
  }

  private static BlockMethod recipe(
      String name, Options options, List<BlockTransformation> steps, BlockRounding rounding) {
    refuseEpochs(name, options);
    return new BlockRecipe(name, steps, rounding);
  }

  private static void refuseEpochs(String name, Options options) {
    if (options.epochs().isPresent()) {
      throw new IllegalArgumentException("--epochs: method " + name + " makes one pass");
    }
  }
}
