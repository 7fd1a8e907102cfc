package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.Tensor;
import java.util.List;

/** Rows of an embedding, read when they are asked for. */
record EmbeddingRows(Tensor table, int width) {
  /** out[at..] += row. */
  void add(int row, float[] out, int at) {
    long bytes = (long) width * table.dtype().bytes();
    Tensor one =
        new Tensor(
            table.name(),
            table.dtype(),
            List.of((long) width),
            table.data().asSlice(row * bytes, bytes));
    float[] values = one.toFloats();
    for (int i = 0; i < width; i++) {
      out[at + i] += values[i];
    }
  }
}
