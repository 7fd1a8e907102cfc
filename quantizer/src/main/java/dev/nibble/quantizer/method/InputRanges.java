package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockCalibration;
import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.CalibrationWindows;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.calibration.TransformerBlock.Parameters;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Least and greatest value of each channel behind a norm, as the source has them and as a packed
 * model does, whose channels may be reordered, rescaled or shifted (RPTQ, figure 1).
 *
 * @param norm the norm's name
 * @param sourceMin one a channel, in the source's order
 * @param sourceMax one a channel
 * @param packedMin one a channel, in the packed model's order
 * @param packedMax one a channel
 */
@SuppressWarnings("ArrayRecordComponent") // shown, not compared
public record InputRanges(
    String norm, float[] sourceMin, float[] sourceMax, float[] packedMin, float[] packedMax) {
  private static final int TOKENS = 512;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /**
   * Runs the source at full precision on the first tokens of a text.
   *
   * @param source the checkpoint
   * @param packed what was made of it
   * @param text UTF-8 text
   * @param threads threads that compute
   * @return the ranges of every norm before linears, in the model's order; none for a rotated
   *     model, which has other channels
   * @throws IOException if a folder or the text cannot be read
   */
  public static List<InputRanges> measure(Path source, Path packed, Path text, int threads)
      throws IOException {
    try (Checkpoint from = Checkpoint.open(source);
        Checkpoint to = Checkpoint.open(packed)) {
      Optional<QuantizationConfig> made = to.config().quantization();
      if (made.isEmpty() || made.get().method().endsWith(RotatedMethod.SUFFIX)) {
        return List.of();
      }
      int tokens = Math.min(TOKENS, from.config().maxPositions());
      CalibrationWindows windows =
          CalibrationWindows.read(text, TokenizerFiles.open(source), 1, tokens);
      Observer observer = new Observer(to);
      BlockCalibration run =
          new BlockCalibration(from, QuantScheme.parse("W16A16"), windows, observer, 0);
      return from.reading(() -> {
        run.run(threads, new Nothing(), (block, done, total, loss) -> {});
        return List.copyOf(observer.found);
      });
    }
  }

  /** A method that changes nothing and looks at what the linears read. */
  private static final class Observer implements BlockMethod {
    private final Checkpoint packed;
    private final List<InputRanges> found = new ArrayList<>();

    Observer(Checkpoint packed) {
      this.packed = packed;
    }

    @Override
    public String name() {
      return "ranges";
    }

    @Override
    public Map<String, String> settings() {
      return Map.of();
    }

    @Override
    public void check(ModelConfig config, QuantScheme scheme) {}

    @Override
    public QuantizedBlock quantize(BlockTask task) {
      TransformerBlock block = task.block();
      TensorNames names = TensorNames.of(block.config().architecture());
      task.forward()
          .inputs(
              block,
              BlockPrecision.FULL,
              task.fullInputs().window(0),
              InputSite.MLP,
              (site, raw, rounded) -> {
                if (site == InputSite.ATTENTION) {
                  add(names.attentionNorm(block.layer()), block.attentionNorm(), raw);
                } else if (site == InputSite.MLP) {
                  add(names.mlpNorm(block.layer()), block.mlpNorm(), raw);
                }
              });
      return new QuantizedBlock(Map.of(), List.of(), Map.of(), block, BlockPrecision.FULL)
          .withOutputs(task.targets());
    }

    private void add(ModuleName name, Parameters norm, float[] x) {
      ChannelRanges ranges = ChannelRanges.of(x, norm.weight().length);
      Parameters stored =
          new Parameters(
              packed.find(name.weight()).orElseThrow().toFloats(),
              packed.find(name.bias()).map(Tensor::toFloats));
      found.add(of(name.name(), ranges, norm, stored, packed.find(name.channelOrder())));
    }
  }

  /** What the norm's output becomes under other parameters and in another order. */
  private static InputRanges of(
      String name,
      ChannelRanges ranges,
      Parameters source,
      Parameters packed,
      Optional<Tensor> order) {
    int channels = ranges.channels();
    float[] bias = source.biasOrZeros(channels);
    float[] packedBias = packed.biasOrZeros(channels);
    boolean kept =
        Arrays.equals(source.weight(), packed.weight()) && Arrays.equals(bias, packedBias);
    float[] min = new float[channels];
    float[] max = new float[channels];
    for (int i = 0; i < channels; i++) {
      int c = i;
      int from = order.map(o -> o.data().get(SHORT, 2L * c) & 0xffff).orElse(c);
      if (kept) {
        min[i] = ranges.min()[from];
        max[i] = ranges.max()[from];
        continue;
      }
      float weight = source.weight()[from];
      float factor = weight == 0 ? 0 : packed.weight()[from] / weight;
      float one = (ranges.min()[from] - bias[from]) * factor + packedBias[from];
      float other = (ranges.max()[from] - bias[from]) * factor + packedBias[from];
      min[i] = Math.min(one, other);
      max[i] = Math.max(one, other);
    }
    return new InputRanges(name, ranges.min(), ranges.max(), min, max);
  }

  /** Keeps nothing. */
  private static final class Nothing implements BlockCalibration.Journal {
    @Override
    public Optional<BlockCalibration.State> resume() {
      return Optional.empty();
    }

    @Override
    public void blockDone(
        QuantizedBlock block, TransformerBlock source, double loss, BlockCalibration.State after) {}
  }
}
