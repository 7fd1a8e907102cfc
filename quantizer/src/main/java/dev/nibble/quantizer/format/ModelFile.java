package dev.nibble.quantizer.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;

/**
 * Opening and reading of the files of a model folder, with errors that name the file. For the
 * readers of this project; users of the library have no need of it.
 */
public final class ModelFile {
  private static final byte[] LFS_POINTER =
      "version https://git-lfs.github.com/spec/".getBytes(StandardCharsets.US_ASCII);

  private ModelFile() {}

  /** Opens a file for reading; anything that is not a regular file is refused, pipes included. */
  static FileChannel open(Path file) throws IOException {
    requireRegular(file);
    return FileChannel.open(file, StandardOpenOption.READ);
  }

  /** Refuses what is not a regular file: opening a pipe would wait for its writer. */
  static void requireRegular(Path file) throws IOException {
    if (!Files.readAttributes(file, BasicFileAttributes.class).isRegularFile()) {
      throw new ModelFormatException(file, "file", "expected a regular file");
    }
  }

  /**
   * Reads a whole small file.
   *
   * @param file the file
   * @param limitBytes most bytes it may have
   * @return its bytes
   * @throws ModelFormatException if it is larger, no regular file, or a Git LFS pointer
   * @throws java.nio.file.NoSuchFileException if there is none
   * @throws IOException if reading fails
   */
  public static byte[] read(Path file, int limitBytes) throws IOException {
    try (FileChannel channel = open(file)) {
      long size = channel.size();
      if (size > limitBytes) {
        throw new ModelFormatException(
            file, "size", "expected at most " + limitBytes + " bytes, found " + size);
      }
      byte[] bytes = new byte[(int) size];
      readFully(file, channel, 0, ByteBuffer.wrap(bytes));
      refuseLfsPointer(file, bytes);
      return bytes;
    }
  }

  /** Fills a buffer from a position; a file that ends before is a format error. */
  static void readFully(Path file, FileChannel channel, long position, ByteBuffer into)
      throws IOException {
    long end = Math.addExact(position, into.remaining());
    try {
      while (into.hasRemaining()) {
        if (channel.read(into, end - into.remaining()) < 0) {
          throw new ModelFormatException(
              file, "size", "the file ends before byte " + end + "; fetch it again");
        }
      }
    } catch (FileSystemException | ModelFormatException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }

  /** Refuses the text file that git leaves in place of a large one. */
  static void refuseLfsPointer(Path file, byte[] start) throws ModelFormatException {
    if (start.length >= LFS_POINTER.length
        && Arrays.equals(start, 0, LFS_POINTER.length, LFS_POINTER, 0, LFS_POINTER.length)) {
      throw new ModelFormatException(
          file, "file", "this is a Git LFS pointer, not the file itself; run git lfs pull");
    }
  }
}
