package dev.nibble.runtime;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A float32 matrix from a NumPy file of format version 1. */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record NpyArray(int rows, int columns, float[] values) {
  private static final Pattern HEADER =
      Pattern.compile(
          "\\{'descr': '<f4', 'fortran_order': False, 'shape': \\((\\d+), (\\d+)\\), \\}\\s*");

  public static NpyArray read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int headerStart = 10;
    int headerLength = Short.toUnsignedInt(bytes.getShort(headerStart - Short.BYTES));
    String header = new String(bytes.array(), headerStart, headerLength, StandardCharsets.US_ASCII);
    Matcher shape = HEADER.matcher(header);
    if (!shape.matches()) {
      throw new IOException(file + ": header " + header);
    }
    int rows = Integer.parseInt(shape.group(1));
    int columns = Integer.parseInt(shape.group(2));
    float[] values = new float[rows * columns];
    bytes
        .position(headerStart + headerLength)
        .slice()
        .order(ByteOrder.LITTLE_ENDIAN)
        .asFloatBuffer()
        .get(values);
    return new NpyArray(rows, columns, values);
  }
}
