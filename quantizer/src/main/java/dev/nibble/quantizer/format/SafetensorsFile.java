package dev.nibble.quantizer.format;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/**
 * A safetensors file: 8 bytes of header size, the header, the data. Everything is checked against
 * the file's size before it is allocated or mapped.
 */
final class SafetensorsFile {
  static final int SIZE_BYTES = Long.BYTES;

  private final Path path;
  private final SafetensorsHeader header;
  private final long size;
  private final MemorySegment data;

  private SafetensorsFile(Path path, SafetensorsHeader header, long size, MemorySegment data) {
    this.path = path;
    this.header = header;
    this.size = size;
    this.data = data;
  }

  /**
   * Opens, checks and maps a file.
   *
   * @param path the file
   * @param arena how long it stays mapped
   */
  static SafetensorsFile open(Path path, Arena arena) throws IOException {
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
      MemorySegment data =
          channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena).asSlice(headerBytes.length);
      return new SafetensorsFile(path, header, size, data);
    }
  }

  Path path() {
    return path;
  }

  SafetensorsHeader header() {
    return header;
  }

  /** The size the file had when it was mapped. */
  long size() {
    return size;
  }

  /** Where the data begins in the file. */
  long dataOffset() {
    return size - data.byteSize();
  }

  Tensor tensor(SafetensorsHeader.Entry entry) {
    TensorInfo info = entry.info();
    return new Tensor(
        info.name(),
        info.dtype(),
        info.shape(),
        data.asSlice(entry.begin(), entry.end() - entry.begin()));
  }
}
