package dev.nibble.runtime.kernel;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.DeviceRange;
import org.jspecify.annotations.Nullable;

/** The weights of one linear, or of several that read the same input, in device memory. */
public sealed interface DeviceWeights {
  /**
   * Output channels; of several linears, each padded to 64.
   *
   * @return rows
   */
  int rows();

  /**
   * Input channels.
   *
   * @return columns
   */
  int columns();

  /**
   * Weights in the packed layout.
   *
   * @param layout bits, shape and group size
   * @param codes the qweight
   * @param scales fp16
   * @param zeros one a scale; null when symmetric
   */
  record Packed(
      PackedLayout layout, DeviceRange codes, DeviceRange scales, @Nullable DeviceRange zeros)
      implements DeviceWeights {
    /** Checks the sizes. */
    public Packed {
      codes.require("qweight", layout.qweightBytes());
      scales.require("scales", Short.BYTES * layout.scaleCount());
      if (zeros != null) {
        zeros.require("zeros", layout.scaleCount());
      }
    }

    @Override
    public int rows() {
      return layout.rows();
    }

    @Override
    public int columns() {
      return layout.columns();
    }
  }

  /**
   * Weights as floats of 16 bits, row-major.
   *
   * @param dtype F16 or BF16
   * @param rows output channels
   * @param columns input channels
   * @param data rows x columns
   */
  record Dense(DType dtype, int rows, int columns, DeviceRange data) implements DeviceWeights {
    /** Checks the type and the size. */
    public Dense {
      if (dtype != DType.F16 && dtype != DType.BF16) {
        throw new IllegalArgumentException("weights of " + dtype + " on a device");
      }
      data.require("weights", Math.multiplyExact((long) rows * columns, Short.BYTES));
    }
  }
}
