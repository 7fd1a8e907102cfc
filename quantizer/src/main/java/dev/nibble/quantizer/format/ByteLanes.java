package dev.nibble.quantizer.format;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Packs and unpacks one tile of {@link PackedLayout}, four codes at a time: a word of a fragment is
 * four neighbours of one row.
 */
final class ByteLanes {
  private static final VarHandle FOUR_CODES =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int CHUNK = PackedLayout.CHUNK_BYTES;
  private static final int STEP = PackedLayout.STEP_COLUMNS;
  private static final int WORDS = CHUNK / Integer.BYTES;

  private static final int LOW_6 = 0x3f3f3f3f;
  private static final int LOW_4 = 0x0f0f0f0f;
  private static final int LOW_3 = 0x07070707;
  private static final int LOW_2 = 0x03030303;
  private static final int BIT_2 = 0x04040404;

  private ByteLanes() {}

  /** Packs the tile whose first code is {@code codes[at]} to {@code out} from byte {@code tile}. */
  static void pack(int bits, byte[] codes, int at, int stride, MemorySegment out, long tile) {
    int second = PackedLayout.SUBTILE_ROWS * stride;
    for (int word = 0; word < WORDS; word++) {
      int s0 = at + position(word, stride);
      long o = tile + (long) word * Integer.BYTES;
      switch (bits) {
        case 8 -> out.set(WORD, o, get(codes, s0));
        case 4 -> out.set(WORD, o, get(codes, s0) | get(codes, s0 + STEP) << 4);
        case 2 ->
            out.set(
                WORD,
                o,
                get(codes, s0)
                    | get(codes, s0 + STEP) << 2
                    | get(codes, s0 + 2 * STEP) << 4
                    | get(codes, s0 + 3 * STEP) << 6);
        case 6 -> {
          int s3 = get(codes, s0 + 3 * STEP);
          out.set(WORD, o, get(codes, s0) | (s3 & LOW_2) << 6);
          out.set(WORD, o + CHUNK, get(codes, s0 + STEP) | (s3 >>> 2 & LOW_2) << 6);
          out.set(WORD, o + 2 * CHUNK, get(codes, s0 + 2 * STEP) | (s3 >>> 4 & LOW_2) << 6);
        }
        default -> {
          int u0 = s0 + second;
          int u2 = get(codes, u0 + 2 * STEP);
          int u3 = get(codes, u0 + 3 * STEP);
          out.set(WORD, o, get(codes, s0) | get(codes, s0 + STEP) << 3 | (u2 & LOW_2) << 6);
          out.set(
              WORD,
              o + CHUNK,
              get(codes, s0 + 2 * STEP) | get(codes, s0 + 3 * STEP) << 3 | (u3 & LOW_2) << 6);
          out.set(
              WORD,
              o + 2 * CHUNK,
              get(codes, u0) | get(codes, u0 + STEP) << 3 | (u2 & BIT_2) << 4 | (u3 & BIT_2) << 5);
        }
      }
    }
  }

  /** Unpacks the tile at byte {@code tile} of {@code in}; its first code goes to codes[at]. */
  static void unpack(int bits, MemorySegment in, long tile, byte[] codes, int at, int stride) {
    int second = PackedLayout.SUBTILE_ROWS * stride;
    for (int word = 0; word < WORDS; word++) {
      int s0 = at + position(word, stride);
      long o = tile + (long) word * Integer.BYTES;
      int w = in.get(WORD, o);
      switch (bits) {
        case 8 -> set(codes, s0, w);
        case 4 -> {
          set(codes, s0, w & LOW_4);
          set(codes, s0 + STEP, w >>> 4 & LOW_4);
        }
        case 2 -> {
          set(codes, s0, w & LOW_2);
          set(codes, s0 + STEP, w >>> 2 & LOW_2);
          set(codes, s0 + 2 * STEP, w >>> 4 & LOW_2);
          set(codes, s0 + 3 * STEP, w >>> 6 & LOW_2);
        }
        case 6 -> {
          int w1 = in.get(WORD, o + CHUNK);
          int w2 = in.get(WORD, o + 2 * CHUNK);
          set(codes, s0, w & LOW_6);
          set(codes, s0 + STEP, w1 & LOW_6);
          set(codes, s0 + 2 * STEP, w2 & LOW_6);
          int s3 = (w >>> 6 & LOW_2) | (w1 >>> 6 & LOW_2) << 2 | (w2 >>> 6 & LOW_2) << 4;
          set(codes, s0 + 3 * STEP, s3);
        }
        default -> {
          int w1 = in.get(WORD, o + CHUNK);
          int w2 = in.get(WORD, o + 2 * CHUNK);
          int u0 = s0 + second;
          set(codes, s0, w & LOW_3);
          set(codes, s0 + STEP, w >>> 3 & LOW_3);
          set(codes, s0 + 2 * STEP, w1 & LOW_3);
          set(codes, s0 + 3 * STEP, w1 >>> 3 & LOW_3);
          set(codes, u0, w2 & LOW_3);
          set(codes, u0 + STEP, w2 >>> 3 & LOW_3);
          set(codes, u0 + 2 * STEP, (w >>> 6 & LOW_2) | (w2 >>> 4 & BIT_2));
          set(codes, u0 + 3 * STEP, (w1 >>> 6 & LOW_2) | (w2 >>> 5 & BIT_2));
        }
      }
    }
  }

  /** Reads one code of a fragment, from the byte of its place in the tile's first chunk. */
  static int code(int bits, int fragment, MemorySegment in, long at) {
    return switch (bits) {
      case 6 ->
          fragment < 3
              ? unsigned(in, at, fragment) & 0x3f
              : unsigned(in, at, 0) >> 6
                  | unsigned(in, at, 1) >> 6 << 2
                  | unsigned(in, at, 2) >> 6 << 4;
      case 3 ->
          fragment < 6
              ? (unsigned(in, at, fragment >> 1) >> (3 * (fragment & 1))) & 7
              : unsigned(in, at, fragment - 6) >> 6 | ((unsigned(in, at, 2) >> fragment) & 1) << 2;
      default -> (unsigned(in, at, 0) >> (bits * fragment)) & ((1 << bits) - 1);
    };
  }

  private static int unsigned(MemorySegment in, long at, int chunk) {
    return Byte.toUnsignedInt(in.get(ValueLayout.JAVA_BYTE, at + (long) chunk * CHUNK));
  }

  /** Where a chunk's word starts in a row-major tile, in its first step: word 4 lane + j. */
  private static int position(int word, int stride) {
    int lane = word >> 2;
    int row = (lane >> 2) + 8 * (word & 1);
    int column = 16 * (word >> 1 & 1) + 4 * (lane & 3);
    return row * stride + column;
  }

  private static int get(byte[] codes, int at) {
    return (int) FOUR_CODES.get(codes, at);
  }

  private static void set(byte[] codes, int at, int four) {
    FOUR_CODES.set(codes, at, four);
  }
}
