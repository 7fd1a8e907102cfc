package dev.nibble.quantizer.format;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The checksums in {@code __metadata__} of a packed folder's safetensors files, each CRC32C (RFC
 * 3720) as 8 lower-case hex digits:
 *
 * <ul>
 *   <li>{@code nibble.crc32c.header}: of the file from its first byte to the end of the header,
 *       with these digits taken as zeros,
 *   <li>{@code nibble.crc32c.tensor.NAME}: of each tensor's bytes,
 *   <li>{@code nibble.crc32c.file.NAME}: of config.json, and of the index and each other of {@link
 *       #coveredFiles} that the folder has.
 * </ul>
 */
public final class PackedChecksums {
  private static final String PREFIX = "nibble.crc32c.";
  private static final String HEADER = PREFIX + "header";
  private static final String TENSOR = PREFIX + "tensor.";
  private static final String FILE = PREFIX + "file.";
  private static final String BLANK = "00000000";
  private static final int BUFFER_BYTES = 1 << 20;

  private PackedChecksums() {}

  /**
   * The files beside the tensors that belong to a packed model: its config and its tokenizer.
   *
   * @return their names; a model need not have them all
   */
  public static List<String> coveredFiles() {
    return List.of(
        ConfigReader.FILE_NAME,
        ConfigReader.GENERATION_FILE_NAME,
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "chat_template.json");
  }

  private static List<String> checkedFiles() {
    List<String> files = new ArrayList<>(coveredFiles());
    files.add(ShardIndex.FILE_NAME);
    return files;
  }

  /** Metadata with blank digits for the header and the tensors, and those of the folder's files. */
  static SequencedMap<String, String> blank(Path folder, List<TensorInfo> tensors)
      throws IOException {
    SequencedMap<String, String> metadata = new LinkedHashMap<>();
    metadata.put(HEADER, BLANK);
    for (String name : checkedFiles()) {
      Path file = folder.resolve(name);
      if (name.equals(ConfigReader.FILE_NAME) || Files.exists(file)) {
        metadata.put(FILE + name, ofFile(file));
      }
    }
    for (TensorInfo tensor : tensors) {
      metadata.put(TENSOR + tensor.name(), BLANK);
    }
    return metadata;
  }

  static boolean isPresent(Map<String, String> metadata) {
    return metadata.keySet().stream().anyMatch(key -> key.startsWith(PREFIX));
  }

  static void putTensor(Map<String, String> metadata, String name, CRC32C crc) {
    metadata.put(TENSOR + name, digits(crc));
  }

  /** Fills the header's own digits in. */
  static void sealHeader(byte[] start) {
    int at = headerDigits(start);
    byte[] digits = ofHeader(start, at).getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(digits, 0, start, at, digits.length);
  }

  /**
   * Checks the header.
   *
   * @param start the file up to the end of the header
   */
  static void requireHeader(Path path, byte[] start, Map<String, String> metadata)
      throws ModelFormatException {
    int at = headerDigits(start);
    String found = at < 0 ? "no digits" : ofHeader(start, at);
    requireSame(path, "header", metadata.get(HEADER), found);
  }

  /** Checks every file that the metadata covers. */
  static void requireFiles(Path folder, Map<String, String> metadata) throws IOException {
    if (!metadata.containsKey(FILE + ConfigReader.FILE_NAME)) {
      requireSame(folder.resolve(ConfigReader.FILE_NAME), "file", null, "no checksum");
    }
    for (String name : checkedFiles()) {
      String expected = metadata.get(FILE + name);
      if (expected != null) {
        Path file = folder.resolve(name);
        requireSame(file, "file", expected, ofFile(file));
      }
    }
  }

  /** Checks the data of tensors. It is read, not mapped, so that it may fail safely. */
  static void requireTensors(SafetensorsFile file, List<SafetensorsHeader.Entry> entries)
      throws IOException {
    try (FileChannel channel = ModelFile.open(file.path());
        Arena arena = Arena.ofConfined()) {
      ByteBuffer buffer = buffer(arena, file.size());
      for (SafetensorsHeader.Entry entry : entries) {
        long from = file.dataOffset() + entry.begin();
        long to = file.dataOffset() + entry.end();
        CRC32C crc = crc(file.path(), channel, from, to, buffer);
        requireTensor(file, entry, (int) crc.getValue());
      }
    }
  }

  /** Checks a tensor whose data has been read. */
  static void requireTensor(SafetensorsFile file, SafetensorsHeader.Entry entry, int crc)
      throws ModelFormatException {
    String name = entry.info().name();
    requireSame(
        file.path(),
        "tensor '" + name + "'",
        file.header().metadata().get(TENSOR + name),
        HexFormat.of().toHexDigits(Integer.toUnsignedLong(crc), BLANK.length()));
  }

  private static String ofFile(Path file) throws IOException {
    try (FileChannel channel = ModelFile.open(file);
        Arena arena = Arena.ofConfined()) {
      ByteBuffer buffer = buffer(arena, channel.size());
      return digits(crc(file, channel, 0, channel.size(), buffer));
    }
  }

  private static ByteBuffer buffer(Arena arena, long bytes) {
    return arena.allocate(Math.clamp(bytes, 1, BUFFER_BYTES)).asByteBuffer();
  }

  private static CRC32C crc(Path file, FileChannel channel, long from, long to, ByteBuffer buffer)
      throws IOException {
    CRC32C crc = new CRC32C();
    for (long at = from; at < to; at += buffer.limit()) {
      buffer.clear().limit((int) Math.min(buffer.capacity(), to - at));
      ModelFile.readFully(file, channel, at, buffer);
      crc.update(buffer.flip());
    }
    return crc;
  }

  private static String ofHeader(byte[] start, int digitsAt) {
    CRC32C crc = new CRC32C();
    crc.update(start, 0, digitsAt);
    crc.update(BLANK.getBytes(StandardCharsets.US_ASCII));
    int rest = digitsAt + BLANK.length();
    crc.update(start, rest, start.length - rest);
    return digits(crc);
  }

  /**
   * Where the header's digits are; quotes inside JSON strings are escaped, so the key is unique.
   */
  private static int headerDigits(byte[] start) {
    byte[] key = ("\"" + HEADER + "\":\"").getBytes(StandardCharsets.US_ASCII);
    int last = start.length - key.length - BLANK.length();
    for (int at = 0; at <= last; at++) {
      if (Arrays.equals(start, at, at + key.length, key, 0, key.length)) {
        return at + key.length;
      }
    }
    return -1;
  }

  private static String digits(CRC32C crc) {
    return HexFormat.of().toHexDigits(crc.getValue(), BLANK.length());
  }

  private static void requireSame(Path file, String field, @Nullable String expected, String found)
      throws ModelFormatException {
    if (!found.equals(expected)) {
      throw new ModelFormatException(
          file,
          field,
          "expected CRC32C "
              + (expected == null ? "in the checksums" : expected)
              + ", found "
              + found
              + "; the file is damaged or was changed, quantize the model again");
    }
  }
}
