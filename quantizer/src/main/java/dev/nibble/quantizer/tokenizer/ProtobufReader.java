package dev.nibble.quantizer.tokenizer;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.nibble.quantizer.format.ModelFormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Path;

/**
 * Reads the fields of one protobuf message in file order. Every length is checked against the
 * message that holds it.
 *
 * <p>Wire format: protobuf.dev/programming-guides/encoding. Groups are refused.
 */
final class ProtobufReader {
  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int LENGTH_DELIMITED = 2;
  private static final int FIXED32 = 5;

  private final Path file;
  private final ByteBuffer bytes;
  private int wireType;

  /** A reader of a whole file's bytes. */
  ProtobufReader(Path file, ByteBuffer bytes) {
    this.file = file;
    this.bytes = bytes.slice(bytes.position(), bytes.remaining()).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Moves to the next field and returns its number, or 0 at the end of the message. */
  int nextField() throws ModelFormatException {
    if (!bytes.hasRemaining()) {
      return 0;
    }
    long tag = readRawVarint();
    long number = tag >>> 3;
    if (number == 0 || number > Integer.MAX_VALUE >> 2) {
      throw broken("field number " + number + " is not valid");
    }
    wireType = (int) tag & 7;
    return (int) number;
  }

  long readVarint() throws ModelFormatException {
    expect(VARINT);
    return readRawVarint();
  }

  float readFloat() throws ModelFormatException {
    expect(FIXED32);
    need(Float.BYTES);
    return bytes.getFloat();
  }

  /** A reader of the message in this field. */
  ProtobufReader readMessage() throws ModelFormatException {
    return new ProtobufReader(file, readBytes());
  }

  ByteBuffer readBytes() throws ModelFormatException {
    expect(LENGTH_DELIMITED);
    long length = readRawVarint();
    if (length < 0 || length > bytes.remaining()) {
      throw broken("a field of " + length + " bytes where " + bytes.remaining() + " are left");
    }
    ByteBuffer field = bytes.slice(bytes.position(), (int) length);
    bytes.position(bytes.position() + (int) length);
    return field;
  }

  String readString() throws ModelFormatException {
    try {
      return UTF_8.newDecoder().decode(readBytes()).toString();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, "protobuf", "a string is not UTF-8", e);
    }
  }

  void skip() throws ModelFormatException {
    switch (wireType) {
      case VARINT -> readRawVarint();
      case FIXED64 -> skipBytes(Long.BYTES);
      case LENGTH_DELIMITED -> readBytes();
      case FIXED32 -> skipBytes(Integer.BYTES);
      default -> throw broken("wire type " + wireType + " is not valid");
    }
  }

  private void skipBytes(int count) throws ModelFormatException {
    need(count);
    bytes.position(bytes.position() + count);
  }

  private long readRawVarint() throws ModelFormatException {
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      need(1);
      byte b = bytes.get();
      value |= (long) (b & 0x7F) << shift;
      if (b >= 0) {
        return value;
      }
    }
    throw broken("a varint longer than 10 bytes");
  }

  private void expect(int wanted) throws ModelFormatException {
    if (wireType != wanted) {
      throw broken("wire type " + wanted + " expected, found " + wireType);
    }
  }

  private void need(int count) throws ModelFormatException {
    if (bytes.remaining() < count) {
      throw broken("the message ends inside a field; the file is truncated or damaged");
    }
  }

  private ModelFormatException broken(String problem) {
    return new ModelFormatException(file, "protobuf", problem);
  }
}
