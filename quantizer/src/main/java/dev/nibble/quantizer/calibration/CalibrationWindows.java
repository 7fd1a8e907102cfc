package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * The first windows of a text: encoded once, without a beginning-of-text token, and cut without
 * overlap.
 *
 * @param windows token ids, all of {@code context} tokens
 * @param context tokens of a window
 * @param sha256 digest of the text's bytes, lower-case hex
 */
@SuppressWarnings("ArrayRecordComponent") // shared, not compared
public record CalibrationWindows(List<int[]> windows, int context, String sha256) {
  /** A calibration text has millions of characters at most. */
  private static final long MAX_BYTES = 1L << 30;

  /** Copies the list. */
  public CalibrationWindows {
    windows = List.copyOf(windows);
  }

  /**
   * Reads a text.
   *
   * @param file UTF-8 text
   * @param tokenizer the model's
   * @param samples windows wanted, at least 1
   * @param context tokens of a window, at least 2
   * @return the windows
   * @throws IllegalArgumentException if samples or context are out of range
   * @throws ModelFormatException if the text is empty, too short, too long or not UTF-8
   * @throws java.nio.file.NoSuchFileException if there is no such file
   * @throws IOException if it cannot be read
   */
  public static CalibrationWindows read(Path file, Tokenizer tokenizer, int samples, int context)
      throws IOException {
    if (samples < 1 || context < 2) {
      throw new IllegalArgumentException(
          samples + " samples of " + context + " tokens: expected at least 1 of 2");
    }
    if (Files.isDirectory(file)) {
      throw new ModelFormatException(file, "text", "expected a text file, found a folder");
    }
    if (Files.size(file) > MAX_BYTES) {
      throw new ModelFormatException(
          file, "text", "expected at most " + MAX_BYTES + " bytes, found " + Files.size(file));
    }
    byte[] bytes = Files.readAllBytes(file);
    if (bytes.length == 0) {
      throw new ModelFormatException(file, "text", "the calibration text is empty");
    }
    int[] ids = tokenizer.encode(text(file, bytes), false);
    long needed = (long) samples * context;
    if (ids.length < needed) {
      throw new ModelFormatException(
          file,
          "text",
          "expected at least %d tokens for %d windows of %d, found %d; give a longer text, or fewer samples (%d fit)"
              .formatted(needed, samples, context, ids.length, ids.length / context));
    }
    List<int[]> windows = new ArrayList<>();
    for (int i = 0; i < samples; i++) {
      windows.add(Arrays.copyOfRange(ids, i * context, (i + 1) * context));
    }
    return new CalibrationWindows(windows, context, digest(bytes));
  }

  private static String text(Path file, byte[] bytes) throws ModelFormatException {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, "text", "expected UTF-8; convert the file to it", e);
    }
  }

  private static String digest(byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
