package dev.nibble.quantizer.format;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A safetensors file: 8 bytes of header size, the header, the data. Everything is checked against
 * the file's size before it is allocated or mapped.
 *
 * @param path the file
 * @param header what the header says
 * @param dataOffset where the data begins in the file
 * @param size the file's size, when its header was read
 */
record SafetensorsFile(Path path, SafetensorsHeader header, long dataOffset, long size) {
  static final int SIZE_BYTES = Long.BYTES;

  /** Reads and checks a file's header, its checksum too if it has one. */
  static SafetensorsFile read(Path path) throws IOException {
    try (FileChannel channel = ModelFile.open(path)) {
      long size = channel.size();
      ByteBuffer start = ByteBuffer.allocate((int) Math.min(size, 64));
      ModelFile.readFully(path, channel, 0, start);
      ModelFile.refuseLfsPointer(path, start.array());
      if (size < SIZE_BYTES) {
        throw new ModelFormatException(
            path, "size", "expected at least " + SIZE_BYTES + " bytes, found " + size);
      }
      long length = start.order(ByteOrder.LITTLE_ENDIAN).getLong(0);
      long limit = Math.min(SafetensorsHeader.MAX_HEADER_BYTES, size - SIZE_BYTES);
      if (length < 0 || length > limit) {
        throw new ModelFormatException(
            path,
            "header size",
            "expected at most "
                + limit
                + " in a file of "
                + size
                + " bytes, found "
                + Long.toUnsignedString(length)
                + "; the file is damaged or cut short, fetch it again");
      }
      byte[] headerBytes = new byte[Math.toIntExact(SIZE_BYTES + length)];
      ModelFile.readFully(path, channel, 0, ByteBuffer.wrap(headerBytes));
      byte[] json = new byte[(int) length];
      System.arraycopy(headerBytes, SIZE_BYTES, json, 0, json.length);
      long dataBytes = size - headerBytes.length;
      SafetensorsHeader header = SafetensorsHeader.parse(path, json, dataBytes);
      if (PackedChecksums.isPresent(header.metadata())) {
        PackedChecksums.requireHeader(path, headerBytes, header.metadata());
      }
      return new SafetensorsFile(path, header, headerBytes.length, size);
    }
  }

  /** Maps the data, read-only. */
  MemorySegment map(Arena arena) throws IOException {
    try (FileChannel channel = ModelFile.open(path)) {
      requireSize(channel.size(), null);
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena).asSlice(dataOffset);
    }
  }

  /**
   * Checks that the file still has its size.
   *
   * @param cause what failed because it has not, if anything did
   */
  void requireSize(long now, @Nullable Throwable cause) throws ModelFormatException {
    if (now != size) {
      ModelFormatException changed =
          new ModelFormatException(
              path,
              "size",
              "expected "
                  + size
                  + " bytes as when it was opened, found "
                  + now
                  + "; leave model files alone while they are in use");
      if (cause != null) {
        changed.initCause(cause);
      }
      throw changed;
    }
  }
}
