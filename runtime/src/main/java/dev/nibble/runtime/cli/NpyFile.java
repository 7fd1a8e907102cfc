package dev.nibble.runtime.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Writes a float32 matrix as a NumPy file, format version 1.0, little-endian, row-major. The file
 * appears when it is complete, or not at all; a device or a pipe gets the bytes as they come.
 */
final class NpyFile implements AutoCloseable {
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};

  /** The header ends on a multiple of this. */
  private static final int ALIGNMENT = 64;

  private final Path file;

  /** Where the bytes go until {@link #commit}; the file itself if that is no regular one. */
  private final Path partial;

  private final FileChannel channel;
  private ByteBuffer buffer = ByteBuffer.allocate(0);

  /**
   * Starts a file.
   *
   * @param file where it will be
   * @param rows rows that will be written
   * @param columns elements of a row
   */
  NpyFile(Path file, int rows, int columns) throws IOException {
    boolean there = Files.exists(file);
    if (Files.isDirectory(file)) {
      throw new FileSystemException(
          file.toString(), null, "expected a file to write, not a folder");
    }
    // A link stays, and what it leads to is replaced.
    this.file = there ? file.toRealPath() : file.toAbsolutePath();
    Path folder = this.file.getParent();
    if (folder == null || !Files.isDirectory(folder)) {
      throw new FileSystemException(file.toString(), null, "there is no folder " + folder);
    }
    partial =
        there && !Files.isRegularFile(this.file)
            ? this.file
            : this.file.resolveSibling(this.file.getFileName() + ".partial");
    channel =
        FileChannel.open(
            partial,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE);
    write(header(rows, columns));
  }

  private static ByteBuffer header(int rows, int columns) {
    String dictionary =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + rows + ", " + columns + "), }";
    int before = MAGIC.length + Short.BYTES;
    int end = Math.ceilDiv(before + dictionary.length() + 1, ALIGNMENT) * ALIGNMENT;
    int padding = end - before - dictionary.length() - 1;
    return ByteBuffer.allocate(end)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(MAGIC)
        .putShort((short) (end - before))
        .put((dictionary + " ".repeat(padding) + "\n").getBytes(StandardCharsets.US_ASCII))
        .flip();
  }

  /**
   * Appends elements.
   *
   * @param elements row-major, from 0
   * @param count how many
   */
  void append(float[] elements, int count) throws IOException {
    int bytes = Math.multiplyExact(count, Float.BYTES);
    if (buffer.capacity() < bytes) {
      buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
    buffer.clear();
    buffer.asFloatBuffer().put(elements, 0, count);
    write(buffer.limit(bytes));
  }

  private void write(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Puts the complete file in its place. */
  void commit() throws IOException {
    if (partial.equals(file)) {
      return;
    }
    channel.force(true);
    channel.close();
    try {
      Files.move(
          partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
    if (!partial.equals(file)) {
      Files.deleteIfExists(partial);
    }
  }
}
