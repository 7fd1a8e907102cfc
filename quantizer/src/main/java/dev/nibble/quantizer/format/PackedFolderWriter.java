package dev.nibble.quantizer.format;

import dev.nibble.quantizer.format.ShardIndex.Shard;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes the files of a packed folder: config, tokenizer, and tensors in one file or, past a limit,
 * in several with an index. Everything is on the disk when {@link #finish} returns. Not
 * thread-safe.
 */
public final class PackedFolderWriter implements AutoCloseable {
  private final Path folder;
  private final List<Shard> shards;
  private final Map<String, Shard> shardOf = new HashMap<>();
  private @Nullable SafetensorsWriter writer;
  private String writing = "";

  private PackedFolderWriter(Path folder, List<Shard> shards) {
    this.folder = folder;
    this.shards = shards;
    for (Shard shard : shards) {
      shard.tensors().forEach(tensor -> shardOf.put(tensor.name(), shard));
    }
  }

  /**
   * Writes all but the tensors.
   *
   * @param folder an empty folder
   * @param source the checkpoint it is made from, whose config and tokenizer it gets
   * @param quantization what is added to the config
   * @param tensors all tensors it will hold, in lists that are not split over files; they are
   *     written in this order
   * @param maxShardBytes a file is no larger than this, headers apart, unless one list is
   * @return the writer
   * @throws IOException if reading or writing fails
   */
  public static PackedFolderWriter create(
      Path folder,
      Checkpoint source,
      QuantizationConfig quantization,
      List<List<TensorInfo>> tensors,
      long maxShardBytes)
      throws IOException {
    write(folder.resolve(ConfigReader.FILE_NAME), source.packedConfig(quantization));
    for (String name : PackedChecksums.coveredFiles()) {
      Path file = source.folder().resolve(name);
      if (!name.equals(ConfigReader.FILE_NAME) && Files.exists(file)) {
        copy(file, folder.resolve(name));
      }
    }
    List<Shard> shards = shards(tensors, maxShardBytes);
    if (shards.size() > 1) {
      write(folder.resolve(ShardIndex.FILE_NAME), ShardIndex.json(shards));
    }
    return new PackedFolderWriter(folder, shards);
  }

  /**
   * Appends bytes to a tensor.
   *
   * @param tensor its name; of the file being written, or, once that is complete, of the next
   * @param bytes its next bytes
   * @throws IllegalArgumentException if there is no such tensor, or it has less room left
   * @throws IOException if writing fails
   */
  public void write(String tensor, MemorySegment bytes) throws IOException {
    Shard shard = shardOf.get(tensor);
    if (shard == null) {
      throw new IllegalArgumentException("tensor '" + tensor + "' was not declared");
    }
    if (writer == null || !shard.file().equals(writing)) {
      finishShard();
      writer = SafetensorsWriter.createPacked(folder, shard.file(), shard.tensors());
      writing = shard.file();
    }
    writer.write(tensor, bytes);
  }

  /**
   * Ends the last file.
   *
   * @throws IllegalStateException if a tensor has not got all its bytes
   * @throws IOException if writing fails
   */
  public void finish() throws IOException {
    finishShard();
    for (Shard shard : shards) {
      if (!Files.exists(folder.resolve(shard.file()))) {
        throw new IllegalStateException(shard.file() + " was not written");
      }
    }
  }

  /** Closes the file being written; closing twice does nothing. */
  @Override
  public void close() throws IOException {
    if (writer != null) {
      writer.close();
    }
  }

  private void finishShard() throws IOException {
    if (writer != null) {
      writer.finish();
      writer.close();
      writer = null;
    }
  }

  private static List<Shard> shards(List<List<TensorInfo>> tensors, long maxShardBytes) {
    List<List<TensorInfo>> parts = new ArrayList<>();
    long room = 0;
    for (List<TensorInfo> together : tensors) {
      long bytes = together.stream().mapToLong(TensorInfo::bytes).reduce(0, Math::addExact);
      if (parts.isEmpty() || bytes > room) {
        parts.add(new ArrayList<>());
        room = maxShardBytes;
      }
      parts.getLast().addAll(together);
      room -= bytes;
    }
    List<Shard> shards = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      String file =
          parts.size() == 1
              ? Checkpoint.SINGLE_FILE
              : String.format("model-%05d-of-%05d.safetensors", i + 1, parts.size());
      shards.add(new Shard(file, parts.get(i)));
    }
    return shards;
  }

  private static void write(Path file, byte[] bytes) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer rest = ByteBuffer.wrap(bytes);
      while (rest.hasRemaining()) {
        channel.write(rest);
      }
      channel.force(true);
    } catch (FileSystemException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(file + ": writing failed: " + e.getMessage(), e);
    }
  }

  private static void copy(Path from, Path to) throws IOException {
    ModelFile.requireRegular(from);
    Files.copy(from, to);
    try (FileChannel channel = FileChannel.open(to, StandardOpenOption.WRITE)) {
      channel.force(true);
    }
  }
}
