package dev.nibble.runtime.cli;

import dev.nibble.quantizer.method.CalibratedQuantizer;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** What a calibration tells while it runs: shown, and kept for the report. */
final class CalibrationLog {
  private final Host host;
  private final List<Double> blockLosses = new ArrayList<>();
  private final List<List<Double>> curves = new ArrayList<>();
  private Optional<QuantizeReport.Products> products = Optional.empty();

  CalibrationLog(Host host) {
    this.host = host;
  }

  /** The loss of each block when it was done. */
  List<Double> blockLosses() {
    return blockLosses;
  }

  /** The finite losses of each block's steps. */
  List<List<Double>> curves() {
    return curves;
  }

  /** What was multiplied, once all blocks are done. */
  Optional<QuantizeReport.Products> products() {
    return products;
  }

  CalibratedQuantizer.Listener listener(ProgressLine progress) {
    return new CalibratedQuantizer.Listener() {
      @Override
      public void progress(String tensor, long doneBytes, long totalBytes) {}

      @Override
      public void quantized(LinearError linear) {}

      @Override
      public void step(int block, int blocks, long done, long total, double loss) {
        while (curves.size() <= block) {
          curves.add(new ArrayList<>());
        }
        if (Double.isFinite(loss)) {
          curves.get(block).add(loss);
        }
        progress.at(
            block * total + done,
            blocks * total,
            String.format(Locale.ROOT, "block %d of %d", block + 1, blocks)
                + (Double.isFinite(loss) ? String.format(Locale.ROOT, ", loss %.4g", loss) : ""));
      }

      @Override
      public void calibrated(long operations, double seconds) {
        products = Optional.of(new QuantizeReport.Products(operations, seconds));
      }

      @Override
      public void blockDone(int block, int blocks, double loss) {
        blockLosses.add(loss);
        host.messages().printf(Locale.ROOT, "block %d of %d: loss %.4g%n", block + 1, blocks, loss);
      }
    };
  }
}
