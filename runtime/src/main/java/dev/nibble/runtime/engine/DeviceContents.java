package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Brings what weights hold into device memory: from the host, or as synthetic weights have it. */
interface DeviceContents extends AutoCloseable {
  /** Copies what the host has to the start of a range. */
  void send(MemorySegment source, DeviceRange target);

  /** The codes of a matrix. */
  void codes(WeightMatrix.Packed weights, DeviceRange target);

  /** The scales. */
  void scales(WeightMatrix.Packed weights, DeviceRange target);

  /** The zeros, if it has any. */
  void zeros(WeightMatrix.Packed weights, DeviceRange target);

  /** All of a matrix of floats, as they are. */
  void dense(WeightMatrix.Dense weights, DeviceRange target);

  /** Waits until all is there. */
  @Override
  void close();

  /** Begins to fill a device's memory. */
  @FunctionalInterface
  interface Source {
    /**
     * Begins.
     *
     * @param bytes how much there will be, about
     */
    DeviceContents begin(Device device, Stream stream, long bytes);
  }
}
