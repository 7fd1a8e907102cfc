package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.Tensor;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;

/**
 * Tensors kept between two runs on the same machine, in a file that is there whole or not at all.
 * Each is its name, element type, shape and bytes; a CRC32C of everything ends the file.
 */
final class TensorBundle {
  private static final int PIECE = 1 << 16;
  private static final String SUFFIX = ".new";

  private TensorBundle() {}

  /** Writes a file in place of the one of that name. */
  static void write(Path file, List<Tensor> tensors) throws IOException {
    Path fresh = file.resolveSibling(file.getFileName() + SUFFIX);
    try (CheckedOutputStream checked =
            new CheckedOutputStream(
                new BufferedOutputStream(Files.newOutputStream(fresh), PIECE), new CRC32C());
        DataOutputStream out = new DataOutputStream(checked)) {
      out.writeInt(tensors.size());
      for (Tensor tensor : tensors) {
        out.writeUTF(tensor.name());
        out.writeUTF(tensor.dtype().name());
        out.writeInt(tensor.shape().size());
        for (long dimension : tensor.shape()) {
          out.writeLong(dimension);
        }
        copy(tensor.data(), out);
      }
      out.writeLong(checked.getChecksum().getValue());
    } catch (FileSystemException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(fresh + ": writing failed: " + e.getMessage(), e);
    }
    Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Reads a file that {@link #write} made.
   *
   * @throws IOException if it is damaged
   */
  static List<Tensor> read(Path file) throws IOException {
    List<Tensor> tensors = new ArrayList<>();
    try (CheckedInputStream checked =
            new CheckedInputStream(
                new BufferedInputStream(Files.newInputStream(file), PIECE), new CRC32C());
        DataInputStream in = new DataInputStream(checked)) {
      int count = in.readInt();
      for (int i = 0; i < count; i++) {
        tensors.add(tensor(in, Files.size(file), file));
      }
      long found = checked.getChecksum().getValue();
      if (in.readLong() != found) {
        throw damaged(file);
      }
    } catch (EOFException e) {
      throw damaged(file);
    }
    return tensors;
  }

  private static Tensor tensor(DataInputStream in, long limit, Path file) throws IOException {
    String name = in.readUTF();
    DType dtype = DType.valueOf(in.readUTF());
    int rank = in.readInt();
    if (rank < 0 || rank > 8) {
      throw damaged(file);
    }
    List<Long> shape = new ArrayList<>();
    long bytes = dtype.bytes();
    for (int d = 0; d < rank; d++) {
      long dimension = in.readLong();
      if (dimension < 0 || dimension > limit) {
        throw damaged(file);
      }
      shape.add(dimension);
      bytes = Math.multiplyExact(bytes, dimension);
    }
    if (bytes > limit) {
      throw damaged(file);
    }
    byte[] data = new byte[Math.toIntExact(bytes)];
    in.readFully(data);
    return new Tensor(name, dtype, shape, MemorySegment.ofArray(data));
  }

  private static void copy(MemorySegment data, DataOutputStream out) throws IOException {
    byte[] piece = new byte[PIECE];
    for (long at = 0; at < data.byteSize(); at += PIECE) {
      int length = (int) Math.min(PIECE, data.byteSize() - at);
      MemorySegment.copy(data, at, MemorySegment.ofArray(piece), 0, length);
      out.write(piece, 0, length);
    }
  }

  private static IOException damaged(Path file) {
    return new IOException(file + ": damaged; start again without --resume");
  }
}
