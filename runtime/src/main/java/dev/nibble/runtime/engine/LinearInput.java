package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.QuantizedActivations;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.Linear.Clusters;
import dev.nibble.runtime.model.Linear.OutlierColumns;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The input of one or several linears, and what they read it as. It is quantized once for all that
 * read it alike.
 */
final class LinearInput {
  private static final float[] NOTHING = {};

  private final TensorOperations operations;
  private final int bits;
  private final float[] changed;
  private final QuantizedActivations[] quantized;
  private float[] x = NOTHING;
  private int rows;
  private int width;
  private @Nullable Reading ready;

  LinearInput(TensorOperations operations, WorkspaceShape shape) {
    this.operations = operations;
    bits = shape.activationBits();
    changed =
        new float[shape.maskedInputs() ? Math.multiplyExact(shape.rows(), shape.widestInput()) : 0];
    quantized =
        shape.integerInputs()
            ? Arrays.stream(shape.inputWidths())
                .mapToObj(inputs ->
                    new QuantizedActivations(
                        bits, false, shape.rows(), inputs, shape.sumGroup(inputs)))
                .toArray(QuantizedActivations[]::new)
            : new QuantizedActivations[0];
  }

  /** Takes a new input, [rows, width] from the start of {@code x}. */
  void set(float[] x, int rows, int width) {
    this.x = x;
    this.rows = rows;
    this.width = width;
    ready = null;
  }

  int rows() {
    return rows;
  }

  int width() {
    return width;
  }

  /** The input as it came. */
  float[] floats() {
    return x;
  }

  /** The input quantized and restored, for linears whose weights are floats. */
  float[] restored(Reading reading) {
    if (!reading.equals(ready)) {
      mask(reading);
      operations.fakeQuantize(changed, 0, rows, width, bits);
      ready = reading;
    }
    return changed;
  }

  /** The input as integers. */
  QuantizedActivations integers(Reading reading) {
    QuantizedActivations room = room();
    if (!reading.equals(ready)) {
      float[] source = x;
      if (reading.masks()) {
        mask(reading);
        source = changed;
      }
      if (reading.clusters == null) {
        operations.quantize(source, 0, rows, room);
      } else {
        operations.quantizeStatic(
            source,
            0,
            rows,
            reading.clusters.bits(),
            reading.clusters.scales(),
            reading.clusters.zeros(),
            room);
      }
      ready = reading;
    }
    return room;
  }

  private void mask(Reading reading) {
    System.arraycopy(x, 0, changed, 0, rows * width);
    for (int row = 0; row < rows; row++) {
      for (int column : reading.masked) {
        changed[row * width + column] = 0;
      }
    }
    if (Float.isFinite(reading.threshold)) {
      for (int i = 0; i < rows * width; i++) {
        changed[i] = Math.abs(changed[i]) < reading.threshold ? changed[i] : 0;
      }
    }
  }

  private QuantizedActivations room() {
    for (QuantizedActivations candidate : quantized) {
      if (candidate.width() == width) {
        return candidate;
      }
    }
    throw new IllegalStateException("no room for inputs of width " + width);
  }

  /** How a linear's input is quantized. */
  static final class Reading {
    private final int[] masked;
    private final @Nullable Clusters clusters;
    private final float threshold;

    Reading(Linear linear) {
      masked = linear.outlierColumns().map(OutlierColumns::columns).orElseGet(() -> new int[0]);
      clusters = linear.clusters().orElse(null);
      threshold = linear.outlierThreshold();
    }

    /** Whether some inputs count as 0 before the others are quantized. */
    boolean masks() {
      return masked.length > 0 || Float.isFinite(threshold);
    }

    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof Reading reading
          && threshold == reading.threshold
          && Arrays.equals(masked, reading.masked)
          && (clusters == null
              ? reading.clusters == null
              : reading.clusters != null
                  && clusters.bits() == reading.clusters.bits()
                  && Arrays.equals(clusters.scales(), reading.clusters.scales())
                  && Arrays.equals(clusters.zeros(), reading.clusters.zeros()));
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(masked) + (clusters == null ? 0 : Arrays.hashCode(clusters.scales()));
    }
  }
}
