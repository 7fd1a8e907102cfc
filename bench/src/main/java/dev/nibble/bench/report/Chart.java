package dev.nibble.bench.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import javax.imageio.ImageIO;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * A picture.
 *
 * @param name of its file, without the ending
 * @param caption what it shows, of which device
 * @param png the picture
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record Chart(String name, String caption, byte[] png) {
  private static final int WIDTH = 960;
  private static final int HEIGHT = 540;
  private static final Color[] COLORS = {
    new Color(0x2f6fad),
    new Color(0xd9822b),
    new Color(0x4f9d4f),
    new Color(0xb24a4a),
    new Color(0x7a5ea8),
    new Color(0x6b6b6b),
  };

  static Chart of(String name, String caption, CategoryChart chart) {
    return new Chart(name, caption, png(chart));
  }

  static Chart of(String name, String caption, XYChart chart) {
    return new Chart(name, caption, png(chart));
  }

  private static byte[] png(org.knowm.xchart.internal.chartpart.Chart<?, ?> chart) {
    try {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      ImageIO.write(Palette.reduced(BitmapEncoder.getBufferedImage(chart)), "png", bytes);
      return bytes.toByteArray();
    } catch (IOException e) {
      throw new UncheckedIOException("a picture in memory", e);
    }
  }

  /** Bars, a group for each category. */
  static CategoryChart bars(String title, String categories, String values) {
    CategoryChart chart =
        new CategoryChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle(categories)
            .yAxisTitle(values)
            .build();
    style(chart.getStyler());
    chart.getStyler().setAvailableSpaceFill(0.8);
    chart.getStyler().setLabelsVisible(true);
    chart.getStyler().setLabelsPosition(0.95);
    chart.getStyler().setLabelsFont(font(Font.PLAIN, 11));
    return chart;
  }

  /** Points and lines. */
  static XYChart plane(String title, String horizontal, String vertical) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle(horizontal)
            .yAxisTitle(vertical)
            .build();
    style(chart.getStyler());
    chart.getStyler().setMarkerSize(8);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    chart.getStyler().setLegendLayout(Styler.LegendLayout.Vertical);
    return chart;
  }

  /** A line without points. */
  static void line(XYChart chart, String name, double[] x, double[] y) {
    XYSeries series = chart.addSeries(name, x, y);
    series.setMarker(SeriesMarkers.NONE);
    series.setLineStyle(
        new BasicStroke(
            2f, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 1f, new float[] {6f, 4f}, 0f));
  }

  /** Points without a line. */
  static void points(XYChart chart, String name, double[] x, double[] y) {
    chart.addSeries(name, x, y).setXYSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
  }

  private static void style(AxesChartStyler styler) {
    styler.setChartBackgroundColor(Color.WHITE);
    styler.setPlotBorderVisible(false);
    styler.setChartTitleFont(font(Font.BOLD, 16));
    styler.setLegendFont(font(Font.PLAIN, 12));
    styler.setAxisTitleFont(font(Font.PLAIN, 13));
    styler.setAxisTickLabelsFont(font(Font.PLAIN, 12));
    styler.setLegendBorderColor(Color.WHITE);
    styler.setPlotGridLinesColor(new Color(0xdddddd));
    styler.setSeriesColors(COLORS);
    styler.setLegendPosition(Styler.LegendPosition.OutsideS);
    styler.setLegendLayout(Styler.LegendLayout.Horizontal);
  }

  private static Font font(int style, int size) {
    return new Font(Font.SANS_SERIF, style, size);
  }
}
