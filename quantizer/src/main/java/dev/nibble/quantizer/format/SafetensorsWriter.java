package dev.nibble.quantizer.format;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32C;

/**
 * Writes a safetensors file without holding its tensors: all are declared first, then each gets its
 * bytes in order, in pieces of any size; pieces of different tensors may alternate. Tensors of wide
 * elements lie first, so that each is aligned to its elements. The header is written last: what was
 * not finished is not a safetensors file. Not thread-safe.
 */
public final class SafetensorsWriter implements AutoCloseable {
  private static final int HEADER_ALIGNMENT = 64;
  private static final int BUFFER_BYTES = 1 << 20;

  private final Path path;
  private final FileChannel channel;
  private final SequencedMap<String, String> metadata;
  private final boolean checksums;
  private final SequencedMap<String, Slot> slots = new LinkedHashMap<>();
  private final long dataOffset;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);

  /** A tensor's place in the data and how much of it is written. */
  private static final class Slot {
    private final SafetensorsHeader.Entry entry;
    private final CRC32C crc = new CRC32C();
    private long written;

    private Slot(SafetensorsHeader.Entry entry) {
      this.entry = entry;
    }

    private long missing() {
      return entry.end() - entry.begin() - written;
    }
  }

  @SuppressWarnings("MustBeClosedChecker")
  private SafetensorsWriter(
      Path path, List<TensorInfo> tensors, SequencedMap<String, String> metadata, boolean checksums)
      throws IOException {
    this.path = path;
    this.metadata = metadata;
    this.checksums = checksums;
    List<TensorInfo> ordered = new ArrayList<>(tensors);
    ordered.sort(Comparator.comparingInt(tensor -> -tensor.dtype().bytes()));
    long end = 0;
    for (TensorInfo tensor : ordered) {
      long begin = end;
      end = Math.addExact(begin, tensor.bytes());
      Slot slot = new Slot(new SafetensorsHeader.Entry(tensor, begin, end));
      if (tensor.name().equals(SafetensorsHeader.METADATA)
          || slots.putIfAbsent(tensor.name(), slot) != null) {
        throw new IllegalArgumentException("tensor '" + tensor.name() + "' is declared twice");
      }
    }
    dataOffset = header().length;
    long bytes = Math.addExact(dataOffset, end);
    long free = Files.getFileStore(path.toAbsolutePath().getParent()).getUsableSpace();
    if (free < bytes) {
      throw new FileSystemException(
          path.toString(), null, "needs " + bytes + " bytes, but only " + free + " are free");
    }
    channel = FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }

  /**
   * Begins a file without checksums.
   *
   * @param path the file, which must not exist
   * @param tensors all tensors it will hold
   * @param metadata {@code __metadata__}
   * @return the writer
   * @throws IllegalArgumentException if a name is declared twice
   * @throws IOException if the file exists, cannot be made, or the disk has no room for it
   */
  public static SafetensorsWriter create(
      Path path, List<TensorInfo> tensors, Map<String, String> metadata) throws IOException {
    return new SafetensorsWriter(path, tensors, new LinkedHashMap<>(metadata), false);
  }

  /**
   * Begins the {@code model.safetensors} of a packed folder, with checksums of its tensors and of
   * the folder's config and tokenizer files, which must be in place.
   *
   * @param folder the folder
   * @param tensors all tensors it will hold
   * @return the writer
   * @throws IllegalArgumentException if a name is declared twice
   * @throws java.nio.file.NoSuchFileException if config.json is missing
   * @throws IOException if the file exists, cannot be made, or the disk has no room for it
   */
  public static SafetensorsWriter createPacked(Path folder, List<TensorInfo> tensors)
      throws IOException {
    return createPacked(folder, Checkpoint.SINGLE_FILE, tensors);
  }

  /** As {@link #createPacked(Path, List)}, for one file of several. */
  static SafetensorsWriter createPacked(Path folder, String fileName, List<TensorInfo> tensors)
      throws IOException {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put("format", "pt");
    metadata.putAll(PackedChecksums.blank(folder, tensors));
    return new SafetensorsWriter(folder.resolve(fileName), tensors, metadata, true);
  }

  /**
   * Appends bytes to a tensor.
   *
   * @param name a declared tensor
   * @param bytes its next bytes
   * @throws IllegalArgumentException if there is no such tensor, or it has less room left
   * @throws IOException if writing fails
   */
  public void write(String name, MemorySegment bytes) throws IOException {
    Slot slot = slots.get(name);
    if (slot == null || slot.missing() < bytes.byteSize()) {
      throw new IllegalArgumentException(
          "tensor '"
              + name
              + "' has room for "
              + (slot == null ? 0 : slot.missing())
              + " more bytes, not for "
              + bytes.byteSize());
    }
    for (long at = 0; at < bytes.byteSize(); at += buffer.limit()) {
      // A copy, because neither CRC32C nor the kernel may read a mapped file that can shrink.
      int length = (int) Math.min(buffer.capacity(), bytes.byteSize() - at);
      buffer.clear().limit(length);
      MemorySegment.copy(bytes, at, MemorySegment.ofBuffer(buffer), 0, length);
      if (checksums) {
        slot.crc.update(buffer.duplicate());
      }
      writeFully(buffer, dataOffset + slot.entry.begin() + slot.written);
      slot.written += length;
    }
  }

  /**
   * Writes the header and forces everything to the disk.
   *
   * @throws IllegalStateException if a tensor has not got all its bytes
   * @throws IOException if writing fails
   */
  public void finish() throws IOException {
    for (Slot slot : slots.values()) {
      String name = slot.entry.info().name();
      if (slot.missing() > 0) {
        throw new IllegalStateException(
            path + ": tensor '" + name + "' lacks " + slot.missing() + " bytes");
      }
      if (checksums) {
        PackedChecksums.putTensor(metadata, name, slot.crc);
      }
    }
    byte[] header = header();
    if (checksums) {
      PackedChecksums.sealHeader(header);
    }
    writeFully(ByteBuffer.wrap(header), 0);
    channel.force(true);
  }

  /** Closes the file; closing twice does nothing. Without {@link #finish} it is no model. */
  @Override
  public void close() throws IOException {
    channel.close();
  }

  /** The file up to the data; its length does not depend on the digits of the checksums. */
  private byte[] header() throws IOException {
    ObjectNode json = StrictJson.newObject();
    ObjectNode metadataJson = json.putObject(SafetensorsHeader.METADATA);
    metadata.forEach(metadataJson::put);
    for (Slot slot : slots.values()) {
      TensorInfo info = slot.entry.info();
      ObjectNode tensor = json.putObject(info.name());
      tensor.put("dtype", info.dtype().name());
      ArrayNode shape = tensor.putArray("shape");
      info.shape().forEach(shape::add);
      tensor.putArray("data_offsets").add(slot.entry.begin()).add(slot.entry.end());
    }
    byte[] text = StrictJson.compactBytes(json);
    int length =
        Math.ceilDiv(SafetensorsFile.SIZE_BYTES + text.length, HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
    byte[] header = new byte[length];
    Arrays.fill(header, (byte) ' ');
    ByteBuffer.wrap(header)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length - SafetensorsFile.SIZE_BYTES)
        .put(text);
    return header;
  }

  private void writeFully(ByteBuffer bytes, long position) throws IOException {
    long at = position;
    try {
      while (bytes.hasRemaining()) {
        at += channel.write(bytes, at);
      }
    } catch (IOException e) {
      throw new IOException(path + ": writing at byte " + at + " failed: " + e.getMessage(), e);
    }
  }
}
