package dev.nibble.runtime.engine;

import dev.nibble.quantizer.tensor.WeightMatrix;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.model.SyntheticValues;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Synthetic weights, made on the device at its memory's speed: a block of random bits for each kind
 * of element is copied over and over, each tensor beginning somewhere else in it. The same for
 * every run, but not the weights that the host makes.
 */
final class SyntheticContents implements DeviceContents {
  private static final long SEED = 0x6e6962626c65L;

  private static final int BLOCK_BYTES = 16 << 20;

  /** Tensors begin at multiples of this; odd, so that many come before one begins as another. */
  private static final long STEP_BYTES = 256L * 4099;

  private static final long EVERY_HALF = 0x0001_0001_0001_0001L;
  private static final int EVERYTHING = 0xffff;

  private final Device device;
  private final Stream stream;
  private final DeviceUpload upload;
  private final int blockBytes;
  private final Map<Bits, DeviceBuffer> blocks = new HashMap<>();
  private long begin;

  /** Bits of each 16 that are random, and those that are set. */
  private record Bits(int random, int set) {}

  private SyntheticContents(Device device, Stream stream, long bytes) {
    this.device = device;
    this.stream = stream;
    blockBytes = (int) Math.min(BLOCK_BYTES, Math.ceilDiv(bytes, Long.BYTES) * Long.BYTES);
    upload = DeviceUpload.of(device, stream, bytes);
  }

  /** Begins to fill memory. */
  static DeviceContents of(Device device, Stream stream, long bytes) {
    return new SyntheticContents(device, stream, bytes);
  }

  @Override
  public void send(MemorySegment source, DeviceRange target) {
    upload.send(source, target);
  }

  @Override
  public void codes(WeightMatrix.Packed weights, DeviceRange target) {
    fill(target, new Bits(EVERYTHING, 0));
  }

  @Override
  public void scales(WeightMatrix.Packed weights, DeviceRange target) {
    short scale = SyntheticValues.scale(weights.layout().bits(), weights.columns());
    fill(target, new Bits(0, Short.toUnsignedInt(scale)));
  }

  @Override
  public void zeros(WeightMatrix.Packed weights, DeviceRange target) {
    if (weights.zeros() != null) {
      target.fill(stream, SyntheticValues.zero(weights.layout().bits()));
    }
  }

  @Override
  public void dense(WeightMatrix.Dense weights, DeviceRange target) {
    fill(
        target,
        new Bits(
            Short.toUnsignedInt(SyntheticValues.RANDOM_OF_HALF),
            Short.toUnsignedInt(SyntheticValues.exponent(weights.columns()))));
  }

  private void fill(DeviceRange target, Bits bits) {
    DeviceBuffer block = blocks.computeIfAbsent(bits, this::block);
    long from = begin % blockBytes / Long.BYTES * Long.BYTES;
    begin += STEP_BYTES;
    for (long at = 0; at < target.bytes(); ) {
      long length = Math.min(target.bytes() - at, blockBytes - from);
      target.buffer().copyFrom(stream, target.offset() + at, block, from, length);
      at += length;
      from = 0;
    }
  }

  private DeviceBuffer block(Bits bits) {
    long[] words = new long[blockBytes / Long.BYTES];
    SplittableRandom random = new SplittableRandom(SEED);
    for (int i = 0; i < words.length; i++) {
      words[i] = (random.nextLong() & (bits.random * EVERY_HALF)) | (bits.set * EVERY_HALF);
    }
    MemorySegment segment = MemorySegment.ofArray(words);
    DeviceBuffer block = device.allocate(blockBytes);
    upload.send(segment, DeviceRange.of(block));
    upload.flush();
    return block;
  }

  @Override
  public void close() {
    upload.close();
    blocks.values().forEach(DeviceBuffer::close);
  }
}
