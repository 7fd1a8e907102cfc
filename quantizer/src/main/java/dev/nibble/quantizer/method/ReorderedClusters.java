package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.InputSite;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.TensorNames;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The reorder indexes R1 to R5 of a block: channels of similar range brought together in clusters
 * of 32, 64, ... channels.
 */
final class ReorderedClusters {
  private static final int HEAD_CLUSTERS = 4;

  private final ModelConfig config;
  private final int most;
  private final long seed;
  private final Map<InputSite, int[]> clusters = new EnumMap<>(InputSite.class);
  private final BlockOrder order;

  /**
   * Clusters a block's channels.
   *
   * @param most clusters of an input at most; heads have 4 at most, and with 1 the attention's
   *     output is one cluster as well
   */
  ReorderedClusters(ReorderStatistics statistics, ModelConfig config, int most, long seed) {
    this.config = config;
    this.most = most;
    this.seed = seed;
    order =
        new BlockOrder(
            site(InputSite.ATTENTION, statistics),
            queries(statistics.queries(), statistics.keys()),
            values(statistics.all(InputSite.OUTPUT)),
            site(InputSite.MLP, statistics),
            site(InputSite.DOWN, statistics));
  }

  /** The orders. */
  BlockOrder order() {
    return order;
  }

  /** The cluster of each 32 stored channels of a site. */
  int[] of(InputSite site) {
    return Objects.requireNonNull(clusters.get(site));
  }

  private int[] site(InputSite site, ReorderStatistics statistics) {
    ChannelRanges ranges = statistics.all(site);
    double[][] features = new double[ranges.channels()][];
    for (int i = 0; i < features.length; i++) {
      features[i] = ranges.features(i);
    }
    List<int[]> members = BalancedClusters.of(features, most, StaticInputs.CHANNELS, seed);
    clusters.put(site, clusterOfRuns(members, StaticInputs.CHANNELS));
    return concatenated(members);
  }

  /** R3: a head's channels by their ranges over all heads that read the same values. */
  private int[][] values(ChannelRanges ranges) {
    int headDim = config.headDim();
    int kvHeads = config.kvHeads();
    int readers = config.heads() / kvHeads;
    int[][] orders = new int[kvHeads][];
    int[] runs = BlockOrder.identity(config.heads() * headDim / StaticInputs.CHANNELS);
    if (most == 1) {
      Arrays.fill(runs, 0);
    }
    for (int kv = 0; kv < kvHeads; kv++) {
      orders[kv] = BlockOrder.identity(headDim);
      if (most > 1 && headDim % StaticInputs.CHANNELS == 0) {
        double[][] features = new double[headDim][];
        for (int i = 0; i < headDim; i++) {
          int[] same = new int[readers];
          for (int h = 0; h < readers; h++) {
            same[h] = (kv * readers + h) * headDim + i;
          }
          features[i] = ranges.features(same);
        }
        List<int[]> members =
            BalancedClusters.of(
                features, Math.min(most, HEAD_CLUSTERS), StaticInputs.CHANNELS, seed + kv);
        orders[kv] = concatenated(members);
        int[] inHead = clusterOfRuns(members, StaticInputs.CHANNELS);
        for (int h = kv * readers; h < (kv + 1) * readers; h++) {
          for (int run = 0; run < inHead.length; run++) {
            runs[h * inHead.length + run] = h * inHead.length + inHead[run];
          }
        }
      }
    }
    clusters.put(InputSite.OUTPUT, runs);
    return orders;
  }

  /**
   * R2: a head's channels by the ranges of queries and keys; with RoPE in pairs, and not at all
   * where norms of heads have weights that all heads share.
   */
  private int[][] queries(ChannelRanges query, ChannelRanges key) {
    int headDim = config.headDim();
    int readers = config.heads() / config.kvHeads();
    int together = config.rope().isPresent() ? 2 : 1;
    int units = headDim / together;
    int unit = StaticInputs.CHANNELS / together;
    boolean free =
        most > 1
            && units % unit == 0
            && TensorNames.of(config.architecture()).queryNorm(0).isEmpty();
    int[][] orders = new int[config.kvHeads()][];
    for (int kv = 0; kv < orders.length; kv++) {
      orders[kv] = BlockOrder.identity(headDim);
      if (free) {
        double[][] features = new double[units][];
        for (int u = 0; u < units; u++) {
          int[] queries = new int[readers * together];
          int[] keys = new int[together];
          for (int t = 0; t < together; t++) {
            keys[t] = kv * headDim + t * units + u;
            for (int h = 0; h < readers; h++) {
              queries[h * together + t] = (kv * readers + h) * headDim + t * units + u;
            }
          }
          double[] q = query.features(queries);
          double[] k = key.features(keys);
          features[u] = new double[] {q[0], k[0], q[1], k[1]};
        }
        int[] of =
            concatenated(
                BalancedClusters.of(features, Math.min(most, HEAD_CLUSTERS), unit, seed + kv));
        for (int i = 0; i < headDim; i++) {
          orders[kv][i] = of[i % units] + i / units * units;
        }
      }
    }
    return orders;
  }

  private static int[] concatenated(List<int[]> members) {
    return members.stream().flatMapToInt(Arrays::stream).toArray();
  }

  private static int[] clusterOfRuns(List<int[]> members, int channels) {
    int[] runs = new int[members.stream().mapToInt(m -> m.length / channels).sum()];
    int next = 0;
    for (int c = 0; c < members.size(); c++) {
      int end = next + members.get(c).length / channels;
      Arrays.fill(runs, next, end, c);
      next = end;
    }
    return runs;
  }
}
