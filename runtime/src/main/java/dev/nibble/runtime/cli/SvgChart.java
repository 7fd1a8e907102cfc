package dev.nibble.runtime.cli;

import java.util.List;
import java.util.Locale;

/** Charts as inline SVG. */
final class SvgChart {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 260;
  private static final int LEFT = 60;
  private static final int BOTTOM = 20;
  private static final int TOP = 10;
  private static final int MOST_BARS = 420;

  private SvgChart() {}

  /** A bar for each value, from 0; values that are not finite have none. */
  static String bars(List<Double> values, List<String> names) {
    double most = values.stream().filter(Double::isFinite).reduce(0.0, Math::max);
    StringBuilder svg = start();
    axis(svg, 0, most);
    double step = (double) (WIDTH - LEFT) / values.size();
    for (int i = 0; i < values.size(); i++) {
      double value = values.get(i);
      if (Double.isFinite(value) && most > 0) {
        double height = (HEIGHT - TOP - BOTTOM) * value / most;
        svg.append(
            String.format(
                Locale.ROOT,
                "<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">"
                    + "<title>%s: %.5g</title></rect>%n",
                LEFT + i * step,
                HEIGHT - BOTTOM - height,
                0.8 * step,
                height,
                ReportPage.escaped(names.get(i)),
                value));
      }
    }
    return svg.append("</svg>\n").toString();
  }

  /** A line for each list of values above 0, log scale; the others are left out. */
  static String curves(List<List<Double>> curves) {
    double least = Double.MAX_VALUE;
    double most = Double.MIN_VALUE;
    for (List<Double> curve : curves) {
      for (double value : curve) {
        if (Double.isFinite(value) && value > 0) {
          least = Math.min(least, value);
          most = Math.max(most, value);
        }
      }
    }
    StringBuilder svg = start();
    if (least > most) {
      return svg.append("</svg>\n").toString();
    }
    axis(svg, least, most);
    double range = Math.max(Math.log(most / least), 1e-9);
    for (int c = 0; c < curves.size(); c++) {
      List<Double> curve = curves.get(c);
      svg.append(
          String.format(
              Locale.ROOT,
              "<polyline class=\"line\" stroke=\"hsl(%d 60%% 45%%)\" points=\"",
              360 * c / curves.size()));
      for (int i = 0; i < curve.size(); i++) {
        double value = curve.get(i);
        if (Double.isFinite(value) && value > 0) {
          svg.append(
              String.format(
                  Locale.ROOT,
                  "%.1f,%.1f ",
                  LEFT + (double) (WIDTH - LEFT) * i / Math.max(1, curve.size() - 1),
                  HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.log(value / least) / range));
        }
      }
      svg.append("\"><title>block ").append(c + 1).append("</title></polyline>\n");
    }
    return svg.append("</svg>\n").toString();
  }

  /**
   * A bar from the least to the greatest value of each channel; neighbours share one where there
   * are more than fit.
   *
   * @param least lower end of the axis, at most 0
   * @param most upper end, at least 0
   */
  static String ranges(float[] min, float[] max, float least, float most) {
    StringBuilder svg = start();
    axis(svg, least, most);
    int bars = Math.min(min.length, MOST_BARS);
    double step = (double) (WIDTH - LEFT) / bars;
    svg.append(
        String.format(Locale.ROOT, "<path class=\"range\" stroke-width=\"%.2f\" d=\"", 0.8 * step));
    for (int bar = 0; bar < bars; bar++) {
      float low = Float.POSITIVE_INFINITY;
      float high = Float.NEGATIVE_INFINITY;
      int end = (int) ((bar + 1L) * min.length / bars);
      for (int i = (int) ((long) bar * min.length / bars); i < end; i++) {
        low = Math.min(low, min[i]);
        high = Math.max(high, max[i]);
      }
      svg.append(
          String.format(
              Locale.ROOT,
              "M%.1f %.1fV%.1f",
              LEFT + (bar + 0.5) * step,
              height(low, least, most),
              height(high, least, most)));
    }
    return svg.append("\"/>\n</svg>\n").toString();
  }

  private static double height(float value, float least, float most) {
    double share = most > least ? (value - least) / (most - least) : 0;
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
  }

  private static StringBuilder start() {
    return new StringBuilder("<svg viewBox=\"0 0 " + WIDTH + " " + HEIGHT + "\" role=\"img\">\n");
  }

  private static void axis(StringBuilder svg, double least, double most) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"0\" y=\"%d\">%.3g</text><text x=\"0\" y=\"%d\">%.3g</text>%n",
            TOP + 10,
            most,
            HEIGHT - BOTTOM,
            least));
  }
}
