package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A model folder: its config and its tensors, over one safetensors file or an index of several. The
 * files stay mapped until it is closed. Thread-safe, but for closing it while another thread reads.
 */
public final class Checkpoint implements TensorSource, AutoCloseable {
  static final String SINGLE_FILE = "model.safetensors";

  private final Path folder;
  private final ModelConfig config;
  private final List<SafetensorsFile> files;
  private final SequencedMap<String, Located> tensors;
  private final Arena arena;

  /** Tensors with checksums that nobody has held their data against yet, by its address. */
  private final Map<Long, Located> unread = new ConcurrentHashMap<>();

  /** A tensor, the file it is in, and that file's mapped data. */
  private record Located(
      SafetensorsFile file, SafetensorsHeader.Entry entry, MemorySegment fileData) {
    long bytes() {
      return entry.end() - entry.begin();
    }

    Tensor tensor() {
      TensorInfo info = entry.info();
      return new Tensor(
          info.name(), info.dtype(), info.shape(), fileData.asSlice(entry.begin(), bytes()));
    }
  }

  /**
   * Reads tensors' data.
   *
   * @param <T> what it makes of them
   */
  @FunctionalInterface
  public interface DataReader<T> {
    /**
     * Reads.
     *
     * @return the result
     * @throws IOException if that fails
     */
    T read() throws IOException;
  }

  private Checkpoint(
      Path folder,
      ModelConfig config,
      List<SafetensorsFile> files,
      SequencedMap<String, Located> tensors,
      Arena arena) {
    this.folder = folder;
    this.config = config;
    this.files = List.copyOf(files);
    this.tensors = tensors;
    this.arena = arena;
    for (Located tensor : tensors.values()) {
      if (tensor.bytes() > 0 && isSummed(tensor.file)) {
        unread.put(tensor.tensor().data().address(), tensor);
      }
    }
  }

  /**
   * Opens and checks a folder; nothing is read of the tensors' data but what checksums need.
   *
   * @param folder a Hugging Face model folder, packed or not
   * @return the checkpoint
   * @throws ModelFormatException if a file breaks its format
   * @throws java.nio.file.NoSuchFileException if the folder or a file of it is missing
   * @throws IOException if reading fails
   */
  public static Checkpoint open(Path folder) throws IOException {
    List<SafetensorsFile> files = readFiles(folder);
    for (SafetensorsFile file : files) {
      if (isSummed(file)) {
        PackedChecksums.requireTensors(file, file.header().entries());
      }
    }
    Checkpoint checkpoint = map(folder, files);
    checkpoint.unread.clear();
    return checkpoint;
  }

  /**
   * Opens and checks a folder as {@link #open} does, but for the checksums of tensors' data:
   * whoever reads it sums it then.
   *
   * @param folder a Hugging Face model folder, packed or not
   * @return the checkpoint
   * @throws ModelFormatException if a file breaks its format
   * @throws java.nio.file.NoSuchFileException if the folder or a file of it is missing
   * @throws IOException if reading fails
   * @see #requireChecksum
   * @see #requireChecksums
   */
  public static Checkpoint openUnread(Path folder) throws IOException {
    return map(folder, readFiles(folder));
  }

  private static List<SafetensorsFile> readFiles(Path folder) throws IOException {
    requireFolder(folder);
    List<SafetensorsFile> files = readHeaders(folder);
    requireFiles(folder, files);
    return files;
  }

  private static boolean isSummed(SafetensorsFile file) {
    return PackedChecksums.isPresent(file.header().metadata());
  }

  @SuppressWarnings("MustBeClosedChecker")
  private static Checkpoint map(Path folder, List<SafetensorsFile> files) throws IOException {
    ModelConfig config = ModelConfig.read(folder);
    if (config.quantization().isPresent()) {
      requirePacked(files);
    }
    Arena arena = Arena.ofShared();
    boolean opened = false;
    try {
      Checkpoint checkpoint =
          new Checkpoint(folder, config, files, mapTensors(files, arena), arena);
      opened = true;
      return checkpoint;
    } finally {
      if (!opened) {
        arena.close();
      }
    }
  }

  /**
   * The folder.
   *
   * @return its path
   */
  public Path folder() {
    return folder;
  }

  /**
   * The model's shape.
   *
   * @return the config
   */
  public ModelConfig config() {
    return config;
  }

  /**
   * The {@code config.json} of a packed copy: the source's with {@code quantization_config} added.
   *
   * @param quantization what the copy is packed as
   * @return the file's bytes
   * @throws ModelFormatException if this checkpoint is packed already
   * @throws IOException if reading the source's file fails
   */
  public byte[] packedConfig(QuantizationConfig quantization) throws IOException {
    Path file = folder.resolve(ConfigReader.FILE_NAME);
    ObjectNode json = StrictJson.object(file, ModelFile.read(file, ConfigReader.MAX_BYTES));
    if (config.quantization().isPresent()) {
      throw new ModelFormatException(
          file, QuantizationJson.FIELD, "expected an unquantized checkpoint, found a packed one");
    }
    json.set(QuantizationJson.FIELD, QuantizationJson.write(quantization));
    return StrictJson.bytes(json);
  }

  @Override
  public SequencedSet<String> names() {
    return Collections.unmodifiableSequencedSet(tensors.sequencedKeySet());
  }

  @Override
  public Optional<Tensor> find(String name) {
    return Optional.ofNullable(tensors.get(name)).map(Located::tensor);
  }

  /**
   * Describes a tensor.
   *
   * @param name its name
   * @return its description, or empty when there is none of that name
   */
  public Optional<TensorInfo> info(String name) {
    return Optional.ofNullable(tensors.get(name)).map(t -> t.entry().info());
  }

  @Override
  public Path file(String name) {
    Located located = tensors.get(name);
    return located == null ? files.getFirst().path() : located.file().path();
  }

  /**
   * Holds a tensor's data, which the caller has summed, against its checksum.
   *
   * @param data as {@link #find} gives it; that of no tensor is let pass
   * @param crc32c of all of it
   * @throws ModelFormatException if the checksum is another
   */
  public void requireChecksum(MemorySegment data, int crc32c) throws ModelFormatException {
    Located tensor = unread.get(data.address());
    if (tensor != null && tensor.bytes() == data.byteSize()) {
      PackedChecksums.requireTensor(tensor.file, tensor.entry, crc32c);
      unread.remove(data.address());
    }
  }

  /**
   * Reads the data of the tensors whose checksums have not been checked yet, and checks them.
   *
   * @throws ModelFormatException if a checksum is another
   * @throws IOException if reading fails
   */
  public void requireChecksums() throws IOException {
    for (SafetensorsFile file : files) {
      List<SafetensorsHeader.Entry> entries =
          unread.values().stream()
              .filter(tensor -> tensor.file.path().equals(file.path()))
              .map(Located::entry)
              .sorted(Comparator.comparingLong(SafetensorsHeader.Entry::begin))
              .toList();
      if (!entries.isEmpty()) {
        PackedChecksums.requireTensors(file, entries);
      }
    }
    unread.clear();
  }

  /**
   * Runs work that reads tensors' data, in this thread or others. A file that was cut short after
   * it was mapped makes the JVM throw InternalError where it is read; this turns that into the
   * typed error.
   *
   * @param <T> the work's result
   * @param work what reads
   * @return its result
   * @throws ModelFormatException if a file has another size than when it was opened
   * @throws IOException if the work throws it, or a mapped file cannot be read
   */
  public <T> T reading(DataReader<T> work) throws IOException {
    try {
      T result = work.read();
      // What follows the new end on its last page reads as zeros, without an error.
      requireSizes(null);
      return result;
    } catch (InternalError e) {
      requireSizes(e);
      throw new IOException(folder + ": reading a mapped file failed: " + e.getMessage(), e);
    }
  }

  private void requireSizes(@Nullable Throwable cause) throws IOException {
    for (SafetensorsFile file : files) {
      file.requireSize(Files.size(file.path()), cause);
    }
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  private static SequencedMap<String, Located> mapTensors(List<SafetensorsFile> files, Arena arena)
      throws IOException {
    SequencedMap<String, Located> tensors = new LinkedHashMap<>();
    for (SafetensorsFile file : files) {
      MemorySegment data = file.map(arena);
      for (SafetensorsHeader.Entry entry : file.header().entries()) {
        tensors.put(entry.info().name(), new Located(file, entry, data));
      }
    }
    return tensors;
  }

  private static List<SafetensorsFile> readHeaders(Path folder) throws IOException {
    Path single = folder.resolve(SINGLE_FILE);
    if (Files.exists(single)) {
      return List.of(SafetensorsFile.read(single));
    }
    if (!Files.exists(folder.resolve(ShardIndex.FILE_NAME))) {
      throw noTensors(folder, single);
    }
    ShardIndex index = ShardIndex.read(folder);
    List<SafetensorsFile> files = new ArrayList<>();
    for (Map.Entry<String, Set<String>> shard : index.shards().entrySet()) {
      SafetensorsFile file = SafetensorsFile.read(folder.resolve(shard.getKey()));
      index.requireSameTensors(shard.getKey(), file);
      files.add(file);
    }
    return files;
  }

  private static void requireFiles(Path folder, List<SafetensorsFile> files) throws IOException {
    for (SafetensorsFile file : files) {
      if (isSummed(file)) {
        PackedChecksums.requireFiles(folder, file.header().metadata());
        for (SafetensorsHeader.Entry entry : file.header().entries()) {
          if (entry.begin() == entry.end()) {
            PackedChecksums.requireTensor(file, entry, 0);
          }
        }
      }
    }
  }

  private static void requirePacked(List<SafetensorsFile> files) throws ModelFormatException {
    for (SafetensorsFile file : files) {
      if (!PackedChecksums.isPresent(file.header().metadata())) {
        throw new ModelFormatException(
            file.path(),
            SafetensorsHeader.METADATA,
            "expected the checksums of a packed model, found none; quantize the model again");
      }
    }
  }

  private static void requireFolder(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      throw new NoSuchFileException(folder.toString());
    }
    if (!Files.isDirectory(folder)) {
      throw new ModelFormatException(
          folder, "model", "expected a model folder, found a file; give the folder it is in");
    }
  }

  private static IOException noTensors(Path folder, Path single) throws IOException {
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
      for (Path entry : entries) {
        String name = entry.getFileName().toString().toLowerCase(Locale.ROOT);
        if (name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth")) {
          return new ModelFormatException(
              entry,
              "file",
              "pickle files run code when they are read, so they are refused; convert the model"
                  + " to safetensors");
        }
      }
    }
    return new NoSuchFileException(single.toString());
  }
}
