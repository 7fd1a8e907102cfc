package dev.nibble.quantizer.format;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * A tensor of a checkpoint: its description and a read-only view of its bytes.
 *
 * @param name its name in the checkpoint
 * @param dtype its element type
 * @param shape its dimensions, outermost first; empty for a scalar
 * @param data its bytes, little-endian, row-major; valid while the checkpoint is open
 */
public record Tensor(String name, DType dtype, List<Long> shape, MemorySegment data) {
  /** Copies the shape. */
  public Tensor {
    shape = List.copyOf(shape);
  }
}
