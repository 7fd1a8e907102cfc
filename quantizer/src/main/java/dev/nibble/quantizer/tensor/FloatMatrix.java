package dev.nibble.quantizer.tensor;

/**
 * A matrix inside an array: element (r, c) is {@code data[offset + r * rowStride + c *
 * columnStride]}. It shares the array.
 *
 * @param data the array
 * @param offset where element (0, 0) is
 * @param rows rows
 * @param columns columns
 * @param rowStride elements from a row to the next
 * @param columnStride elements from a column to the next
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
public record FloatMatrix(
    float[] data, int offset, int rows, int columns, int rowStride, int columnStride) {
  /**
   * Checks that all elements lie in the array.
   *
   * @throws IllegalArgumentException if one does not
   * @throws ArithmeticException if the last element's index overflows
   */
  public FloatMatrix {
    if (offset < 0 || rows < 1 || columns < 1 || rowStride < 1 || columnStride < 1) {
      throw new IllegalArgumentException("matrix of " + rows + " rows, " + columns + " columns");
    }
    int last =
        Math.addExact(
            offset,
            Math.addExact(
                Math.multiplyExact(rows - 1, rowStride),
                Math.multiplyExact(columns - 1, columnStride)));
    if (last >= data.length) {
      throw new IllegalArgumentException(
          "matrix ends at element " + last + " of an array of " + data.length);
    }
  }

  /**
   * A row-major matrix at the start of an array.
   *
   * @param data the array
   * @param rows rows
   * @param columns columns
   * @return the matrix
   */
  public static FloatMatrix of(float[] data, int rows, int columns) {
    return new FloatMatrix(data, 0, rows, columns, columns, 1);
  }

  /**
   * The same elements with rows and columns exchanged.
   *
   * @return the transposed matrix
   */
  public FloatMatrix transposed() {
    return new FloatMatrix(data, offset, columns, rows, columnStride, rowStride);
  }
}
