package dev.nibble.runtime.kernel;

import dev.nibble.runtime.cuda.DeviceRange;

/**
 * Rows of a matrix in device memory; the type of its elements is that of the operation.
 *
 * @param data first byte of the first row
 * @param stride elements from one row to the next
 */
public record MatrixRows(DeviceRange data, long stride) {
  /**
   * The same rows without their first columns.
   *
   * @param column first column
   * @param elementBytes size of an element
   * @return the rest
   */
  public MatrixRows from(long column, int elementBytes) {
    long skipped = Math.multiplyExact(column, (long) elementBytes);
    return new MatrixRows(data.slice(skipped, data.bytes() - skipped), stride);
  }

  /** Checks that the memory holds rows, and gives the address of the first. */
  long require(String what, long rows, long columns, int elementBytes, int strideUnit) {
    if (rows < 1 || columns < 1 || stride < columns || stride % strideUnit != 0) {
      throw new IllegalArgumentException(
          what
              + ": ["
              + rows
              + ", "
              + columns
              + "] at a stride of "
              + stride
              + ", expected a multiple of "
              + strideUnit);
    }
    return data.require(what, Math.multiplyExact((rows - 1) * stride + columns, elementBytes));
  }
}
