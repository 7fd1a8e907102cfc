package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputQuantizer;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Input channels of a site whose weights stay at 16 bits. In the codes they hold the zero point;
 * their inputs are not quantized, and count for no token's range.
 *
 * @param channels their indices, ascending
 * @param width channels of the site
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
record OutlierColumns(int[] channels, int width) {
  /** A copy of weights [rows, width] with 0 in these columns. */
  float[] without(float[] weight) {
    float[] rest = weight.clone();
    for (int at = 0; at < rest.length; at += width) {
      for (int channel : channels) {
        rest[at + channel] = 0;
      }
    }
    return rest;
  }

  /** Makes a linear's codes of these columns stand for exactly 0. */
  void empty(QuantizedLinear linear) {
    int groups = linear.layout().groups();
    for (int row = 0; row < linear.layout().rows(); row++) {
      for (int channel : channels) {
        linear.codes()[row * width + channel] =
            linear.zeros()[row * groups + channel / linear.groupColumns()];
      }
    }
  }

  /** The weights that the codes and the columns beside them stand for. */
  float[] joined(QuantizedLinear linear, float[] weight) {
    float[] joined = linear.toFloats();
    for (int at = 0; at < joined.length; at += width) {
      for (int channel : channels) {
        joined[at + channel] = Halves.rounded(weight[at + channel]);
      }
    }
    return joined;
  }

  /** The tensors of a linear; none without columns. */
  List<Tensor> tensors(ModuleName linear, float[] weight) {
    if (channels.length == 0) {
      return List.of();
    }
    int rows = weight.length / width;
    float[] columns = new float[Math.multiplyExact(rows, channels.length)];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < channels.length; i++) {
        columns[row * channels.length + i] = weight[row * width + channels[i]];
      }
    }
    return List.of(
        Halves.ints(linear.outlierColumns(), channels),
        new Tensor(
            linear.outlierWeight(),
            DType.F16,
            List.of((long) rows, (long) channels.length),
            MemorySegment.ofArray(Halves.bytes(columns))));
  }

  /**
   * Rounds inputs per token, all but these channels and what reaches a magnitude.
   *
   * @param threshold the magnitude; infinity for none
   */
  InputQuantizer quantizer(int bits, float threshold) {
    InputQuantizer all = InputQuantizer.perToken(bits);
    if (bits >= 16 || (channels.length == 0 && Float.isInfinite(threshold))) {
      return all;
    }
    return (x, from, to, channelCount, out) -> {
      int size = (to - from) * width;
      float[] rest = new float[size];
      System.arraycopy(x, from * width, rest, 0, size);
      rest = without(rest);
      for (int i = 0; i < size; i++) {
        rest[i] = Math.abs(rest[i]) < threshold ? rest[i] : 0;
      }
      float[] rounded = new float[size];
      all.quantize(rest, 0, to - from, width, rounded);
      for (int at = 0; at < size; at += width) {
        for (int channel : channels) {
          rounded[at + channel] = x[from * width + at + channel];
        }
      }
      for (int i = 0; i < size; i++) {
        float exact = x[from * width + i];
        rounded[i] = Math.abs(exact) < threshold ? rounded[i] : exact;
      }
      System.arraycopy(rounded, 0, out, from * width, size);
    };
  }
}
