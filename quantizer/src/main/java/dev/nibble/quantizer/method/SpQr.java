package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockMethod;
import dev.nibble.quantizer.calibration.BlockPrecision;
import dev.nibble.quantizer.calibration.BlockTask;
import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.format.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * SpQR, "A Sparse-Quantized Representation", Dettmers et al. 2023: single weights whose group is
 * rounded much better without them stay at 16 bits, the rest is rounded by GPTQ.
 *
 * <p>As in the paper a weight is judged by leaving it out of its group's range. Only a group's
 * least and greatest weight can change that range, so those are tried, and of all that gain the
 * given share of the weights is kept, where the paper has a threshold. Scales are fp16 where the
 * paper quantizes them again.
 */
record SpQr(double share) implements BlockMethod {
  /** Weights kept; each costs 16 bits and an index. */
  static final SpQr DEFAULT = new SpQr(0.01);

  @Override
  public String name() {
    return "spqr";
  }

  @Override
  public Map<String, String> settings() {
    return Map.of("outlier-share", Double.toString(share));
  }

  @Override
  public void check(ModelConfig config, QuantScheme scheme) {
    if (!scheme.quantizesWeights() || scheme.quantizesActivations()) {
      throw new IllegalArgumentException(
          "method spqr cannot do "
              + scheme
              + ": it rounds weights alone, such as W3A16g32 or W4A16g64KV4");
    }
  }

  @Override
  public boolean followsFullPrecision() {
    return false;
  }

  @Override
  public QuantizedBlock quantize(BlockTask task) {
    OutlierBlock result = new OutlierBlock(task);
    BlockHessians hessians = new BlockHessians(task, BlockPrecision.FULL);
    for (InputSite site : InputSite.values()) {
      int width = site.width(task.block().config());
      BlockHessians.Rounding rounding = hessians.rounding(hessians.of(site), width);
      double[] sensitivities = rounding.sensitivities();
      for (LinearRole role : result.linears(site)) {
        float[] weight = task.block().linear(role).weight();
        boolean[] kept = kept(weight, task.layout(role), task.scheme().symmetric(), sensitivities);
        float[] rest = weight.clone();
        for (int i = 0; i < rest.length; i++) {
          rest[i] = kept[i] ? 0 : weight[i];
        }
        QuantizedLinear codes = rounding.round(rest, task.layout(role));
        Singles singles = Singles.takenOut(codes, weight, kept);
        result.add(role, codes, singles.joined(codes), singles.tensors(task.block().name(role)));
      }
    }
    return result.made();
  }

  /** The weights to keep. */
  private boolean[] kept(
      float[] weight, PackedLayout layout, boolean symmetric, double[] sensitivities) {
    WeightGrid grid = WeightGrid.of(layout, symmetric);
    int width = layout.columns();
    int group = layout.groupSize() == 0 ? width : layout.groupSize();
    double[] gains = new double[weight.length];
    for (int row = 0; row < layout.rows(); row++) {
      for (int first = 0; first < width; first += group) {
        int begin = row * width + first;
        int end = begin + Math.min(group, width - first);
        int least = begin;
        int greatest = begin;
        for (int i = begin; i < end; i++) {
          least = weight[i] < weight[least] ? i : least;
          greatest = weight[i] > weight[greatest] ? i : greatest;
        }
        double whole = error(weight, begin, end, -1, grid, sensitivities);
        for (int i : new int[] {least, greatest}) {
          gains[i] = whole - error(weight, begin, end, i, grid, sensitivities);
        }
      }
    }
    double[] sorted = gains.clone();
    Arrays.sort(sorted);
    int count = (int) Math.round(share * weight.length);
    double threshold = count == 0 ? Double.MAX_VALUE : sorted[sorted.length - count];
    boolean[] kept = new boolean[weight.length];
    for (int i = 0; i < kept.length; i++) {
      kept[i] = gains[i] > 0 && gains[i] >= threshold;
    }
    return kept;
  }

  /** What rounding a group costs when one of its weights is left out. */
  private static double error(
      float[] weight, int begin, int end, int out, WeightGrid grid, double[] sensitivities) {
    float min = 0;
    float max = 0;
    for (int i = begin; i < end; i++) {
      if (i != out) {
        min = Math.min(min, weight[i]);
        max = Math.max(max, weight[i]);
      }
    }
    float h = Float.float16ToFloat(grid.step(min, max));
    int zero = grid.zero(min, h);
    double sum = 0;
    for (int i = begin; i < end; i++) {
      if (i != out) {
        double error = weight[i] - (grid.code(weight[i], h, zero) - zero) * h;
        sum += error * error * sensitivities[i % sensitivities.length];
      }
    }
    return sum;
  }

  /**
   * Single weights, rows compressed.
   *
   * @param rows where each row's begin
   * @param columns of each
   * @param values of each, as fp16 holds them
   */
  @SuppressWarnings("ArrayRecordComponent") // shared, not compared
  private record Singles(int[] rows, int[] columns, float[] values) {
    /** Moves weights out of the codes, and with them what GPTQ put in their place. */
    static Singles takenOut(QuantizedLinear codes, float[] weight, boolean[] kept) {
      int width = codes.layout().columns();
      int groups = codes.layout().groups();
      float[] rest = codes.toFloats();
      int count = 0;
      for (boolean one : kept) {
        count += one ? 1 : 0;
      }
      Singles singles =
          new Singles(new int[codes.layout().rows() + 1], new int[count], new float[count]);
      int next = 0;
      for (int i = 0; i < kept.length; i++) {
        if (kept[i]) {
          singles.columns[next] = i % width;
          singles.values[next++] = Halves.rounded(weight[i] + rest[i]);
          int scale = i / width * groups + i % width / codes.groupColumns();
          codes.codes()[i] = codes.zeros()[scale];
        }
        singles.rows[i / width + 1] = next;
      }
      return singles;
    }

    float[] joined(QuantizedLinear codes) {
      float[] joined = codes.toFloats();
      int width = codes.layout().columns();
      for (int row = 0; row + 1 < rows.length; row++) {
        for (int i = rows[row]; i < rows[row + 1]; i++) {
          joined[row * width + columns[i]] += values[i];
        }
      }
      return joined;
    }

    List<Tensor> tensors(ModuleName linear) {
      return List.of(
          new Tensor(
              linear.outlierValues(),
              DType.F16,
              List.of((long) values.length),
              MemorySegment.ofArray(Halves.bytes(values))),
          Halves.ints(linear.outlierRows(), rows),
          Halves.ints(linear.outlierIndices(), columns));
    }
  }
}
