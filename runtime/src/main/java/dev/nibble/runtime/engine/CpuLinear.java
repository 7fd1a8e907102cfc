package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.quantizer.tensor.PreparedMatrix;
import dev.nibble.quantizer.tensor.TensorOperations;
import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.model.Linear;
import dev.nibble.runtime.model.Linear.OutlierColumns;
import dev.nibble.runtime.model.Linear.OutlierValues;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/** A linear in the form the CPU multiplies with. */
final class CpuLinear {
  private final TensorOperations operations;
  private final PreparedMatrix weights;
  private final float @Nullable [] bias;
  private final InputForm form;
  private final LinearInput.Reading reading;
  private final int @Nullable [] outlierColumns;
  private final @Nullable PreparedMatrix outlierWeights;
  private final @Nullable OutlierValues outlierValues;
  private final @Nullable LoudInputs loudInputs;

  CpuLinear(Linear linear, QuantScheme scheme, TensorOperations operations, Arena arena) {
    this.operations = operations;
    weights = operations.prepare(linear.weights(), arena);
    bias = linear.bias().orElse(null);
    form =
        !scheme.quantizesActivations()
            ? InputForm.FLOATS
            : linear.weights() instanceof WeightMatrix.Packed
                ? InputForm.INTEGERS
                : InputForm.RESTORED;
    reading = new LinearInput.Reading(linear);
    OutlierColumns outliers = linear.outlierColumns().orElse(null);
    outlierColumns = outliers == null ? null : outliers.columns();
    outlierWeights = outliers == null ? null : operations.prepare(outliers.weights(), arena);
    outlierValues = linear.outlierValues().orElse(null);
    loudInputs = Float.isFinite(linear.outlierThreshold()) ? new LoudInputs(linear) : null;
  }

  /** y[rows, out] = W x + bias. */
  void apply(LinearInput input, Outliers outliers, float[] y) {
    int rows = input.rows();
    switch (form) {
      case FLOATS -> operations.matmul(input.floats(), 0, rows, weights, y, 0);
      case RESTORED -> operations.matmul(input.restored(reading), 0, rows, weights, y, 0);
      case INTEGERS -> operations.matmul(input.integers(reading), weights, y, 0);
    }
    if (outlierColumns != null && outlierWeights != null) {
      outliers.addColumns(input, outlierColumns, outlierWeights, y);
    }
    if (outlierValues != null) {
      Outliers.addValues(input, outlierValues, y, weights.rows());
    }
    if (loudInputs != null) {
      loudInputs.add(input, y);
    }
    if (bias != null) {
      operations.addBias(y, rows, bias);
    }
  }

  /** What the weights are multiplied with. */
  private enum InputForm {
    FLOATS,
    RESTORED,
    INTEGERS
  }

  /** Adds the weights that stay at 16 bits. */
  static final class Outliers {
    private final TensorOperations operations;
    private final float[] gathered;
    private final float[] product;

    Outliers(TensorOperations operations, WorkspaceShape shape) {
      this.operations = operations;
      gathered = new float[Math.multiplyExact(shape.rows(), shape.outlierColumns())];
      product =
          new float
              [shape.outlierColumns() == 0
                  ? 0
                  : Math.multiplyExact(shape.rows(), shape.widestOutput())];
    }

    /** y += W' x[columns]. */
    private void addColumns(
        LinearInput input, int[] columns, PreparedMatrix outlierWeights, float[] y) {
      float[] x = input.floats();
      int rows = input.rows();
      for (int row = 0; row < rows; row++) {
        int from = row * input.width();
        int to = row * columns.length;
        for (int i = 0; i < columns.length; i++) {
          gathered[to + i] = x[from + columns[i]];
        }
      }
      operations.matmul(gathered, 0, rows, outlierWeights, product, 0);
      operations.add(y, product, rows * outlierWeights.rows());
    }

    /** y += V x with V in rows of single values. */
    private static void addValues(LinearInput input, OutlierValues values, float[] y, int out) {
      float[] x = input.floats();
      int[] starts = values.rowStarts();
      int[] columns = values.columns();
      float[] weights = values.values();
      for (int row = 0; row < input.rows(); row++) {
        int from = row * input.width();
        for (int n = 0; n < out; n++) {
          float sum = 0;
          for (int i = starts[n]; i < starts[n + 1]; i++) {
            sum += weights[i] * x[from + columns[i]];
          }
          y[row * out + n] += sum;
        }
      }
    }
  }
}
