package dev.nibble.bench.report;

import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.IndexColorModel;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;

/** Pictures of a byte a pixel: charts have few colors but for the edges of their letters. */
final class Palette {
  private static final int COLORS = 256;
  private static final int RGB = 0xffffff;

  private final int[] colors;
  private final Map<Integer, Integer> nearest = new HashMap<>();

  /** The most frequent colors. */
  private Palette(BufferedImage picture) {
    Map<Integer, Integer> counts = new HashMap<>();
    for (int y = 0; y < picture.getHeight(); y++) {
      for (int x = 0; x < picture.getWidth(); x++) {
        counts.merge(picture.getRGB(x, y) & RGB, 1, Integer::sum);
      }
    }
    colors =
        counts.entrySet().stream()
            .sorted(
                Map.Entry.<Integer, Integer>comparingByValue()
                    .reversed()
                    .thenComparing(Comparator.comparing(Map.Entry::getKey)))
            .limit(COLORS)
            .mapToInt(Map.Entry::getKey)
            .toArray();
  }

  static BufferedImage reduced(BufferedImage picture) {
    Palette palette = new Palette(picture);
    BufferedImage reduced =
        new BufferedImage(
            picture.getWidth(),
            picture.getHeight(),
            BufferedImage.TYPE_BYTE_INDEXED,
            new IndexColorModel(
                Byte.SIZE,
                palette.colors.length,
                palette.colors,
                0,
                false,
                -1,
                DataBuffer.TYPE_BYTE));
    for (int y = 0; y < picture.getHeight(); y++) {
      for (int x = 0; x < picture.getWidth(); x++) {
        int color = picture.getRGB(x, y) & RGB;
        int index = palette.nearest.computeIfAbsent(color, palette::nearest);
        reduced.getRaster().setSample(x, y, 0, index);
      }
    }
    return reduced;
  }

  private int nearest(int color) {
    int best = 0;
    for (int i = 1; i < colors.length; i++) {
      if (distance(colors[i], color) < distance(colors[best], color)) {
        best = i;
      }
    }
    return best;
  }

  private static int distance(int a, int b) {
    int sum = 0;
    for (int shift = 0; shift <= 2 * Byte.SIZE; shift += Byte.SIZE) {
      int difference = (a >> shift & 0xff) - (b >> shift & 0xff);
      sum += difference * difference;
    }
    return sum;
  }
}
