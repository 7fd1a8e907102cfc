package dev.nibble.quantizer.method;

import java.util.Arrays;

/**
 * Least and greatest value of each channel over some tokens.
 *
 * @param min one a channel
 * @param max one a channel
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
record ChannelRanges(float[] min, float[] max) {
  /** Ranges of no tokens. */
  static ChannelRanges empty(int channels) {
    float[] min = new float[channels];
    float[] max = new float[channels];
    Arrays.fill(min, Float.POSITIVE_INFINITY);
    Arrays.fill(max, Float.NEGATIVE_INFINITY);
    return new ChannelRanges(min, max);
  }

  /** Ranges of x, [tokens, channels]. */
  static ChannelRanges of(float[] x, int channels) {
    ChannelRanges ranges = empty(channels);
    for (int at = 0; at < x.length; at += channels) {
      for (int i = 0; i < channels; i++) {
        ranges.min[i] = Math.min(ranges.min[i], x[at + i]);
        ranges.max[i] = Math.max(ranges.max[i], x[at + i]);
      }
    }
    return ranges;
  }

  /** Widens these ranges by others. */
  void include(ChannelRanges other) {
    for (int i = 0; i < min.length; i++) {
      min[i] = Math.min(min[i], other.min[i]);
      max[i] = Math.max(max[i], other.max[i]);
    }
  }

  /** Channels. */
  int channels() {
    return min.length;
  }

  /** Features of one channel, or of several that go together: greatest and least value. */
  double[] features(int... channels) {
    double least = Double.POSITIVE_INFINITY;
    double greatest = Double.NEGATIVE_INFINITY;
    for (int channel : channels) {
      least = Math.min(least, min[channel]);
      greatest = Math.max(greatest, max[channel]);
    }
    return new double[] {greatest, least};
  }
}
