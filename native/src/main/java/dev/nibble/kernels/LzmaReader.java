package dev.nibble.kernels;

import java.io.IOException;
import java.util.Arrays;

/**
 * Reads what {@code xz --format=lzma} writes to a pipe. The JDK's own readers see back 32 KiB at
 * most, and kernels repeat themselves farther apart. The stream is a header of 13 bytes and then
 * literals and matches, coded by adaptive odds of each bit (LZMA specification, Pavlov 2015).
 */
final class LzmaReader {
  private static final int HEADER_BYTES = 13;
  private static final int STATES = 12;
  private static final int POSITION_STATES = 16;
  private static final int LEAST_MATCH = 2;
  private static final int ODDS_BITS = 11;
  private static final int ADAPTION = 5;
  private static final int LITERAL_ODDS = 0x300;
  private static final int SLOT_BITS = 6;
  private static final int FIRST_MODELED_SLOT = 4;
  private static final int FIRST_DIRECT_SLOT = 14;
  private static final int ALIGN_BITS = 4;

  private final byte[] in;
  private int at = HEADER_BYTES;
  private int range = -1;
  private int code;

  private byte[] out = new byte[1 << 20];
  private int written;

  private final int literalContextBits;
  private final int literalPositionMask;
  private final int positionMask;

  private final short[] literals;
  private final short[] isMatch = evenOdds(STATES * POSITION_STATES);
  private final short[] isRepeat = evenOdds(STATES);
  private final short[] isNotFirst = evenOdds(STATES);
  private final short[] isNotSingle = evenOdds(STATES * POSITION_STATES);
  private final short[] isNotSecond = evenOdds(STATES);
  private final short[] isNotThird = evenOdds(STATES);
  private final short[] slots = evenOdds(4 << SLOT_BITS);
  private final short[] modeled = evenOdds(1 + 128 - FIRST_DIRECT_SLOT);
  private final short[] align = evenOdds(1 << ALIGN_BITS);
  private final Lengths matchLengths = new Lengths();
  private final Lengths repeatLengths = new Lengths();

  private LzmaReader(byte[] in) throws IOException {
    this.in = in;
    int properties = in.length < HEADER_BYTES ? 255 : in[0] & 0xff;
    if (properties >= 9 * 5 * 5) {
      throw new IOException("not an lzma stream");
    }
    literalContextBits = properties % 9;
    int literalPositionBits = properties / 9 % 5;
    literalPositionMask = (1 << literalPositionBits) - 1;
    positionMask = (1 << (properties / 45)) - 1;
    literals = evenOdds(LITERAL_ODDS << (literalContextBits + literalPositionBits));
  }

  /**
   * Reads a stream up to its end marker.
   *
   * @throws IOException if it is cut short or is no such stream
   */
  static byte[] read(byte[] stream) throws IOException {
    try {
      LzmaReader reader = new LzmaReader(stream);
      reader.decode();
      return Arrays.copyOf(reader.out, reader.written);
    } catch (IndexOutOfBoundsException e) {
      throw new IOException("the lzma stream is damaged or cut short", e);
    }
  }

  /** The states tell what came last: 0 to 6 a literal, 7 and more a match. */
  private void decode() {
    for (int i = 0; i <= Integer.BYTES; i++) {
      code = code << Byte.SIZE | next();
    }
    int state = 0;
    int[] recent = new int[4];
    while (true) {
      int position = written & positionMask;
      int context = state * POSITION_STATES + position;
      if (bit(isMatch, context) == 0) {
        literal(state >= 7, recent[0]);
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      } else if (bit(isRepeat, state) == 0) {
        int length = matchLengths.next(position);
        use(recent, 3, distance(length));
        if (recent[0] == -1) {
          return;
        }
        copy(recent[0], length + LEAST_MATCH);
        state = state < 7 ? 7 : 10;
      } else {
        int nth =
            bit(isNotFirst, state) == 0
                ? 0
                : bit(isNotSecond, state) == 0 ? 1 : bit(isNotThird, state) == 0 ? 2 : 3;
        if (nth == 0 && bit(isNotSingle, context) == 0) {
          copy(recent[0], 1);
          state = state < 7 ? 9 : 11;
        } else {
          use(recent, nth, recent[nth]);
          copy(recent[0], repeatLengths.next(position) + LEAST_MATCH);
          state = state < 7 ? 8 : 11;
        }
      }
    }
  }

  /** Puts a distance before the more recent ones. */
  private static void use(int[] recent, int nth, int distance) {
    System.arraycopy(recent, 0, recent, 1, nth);
    recent[0] = distance;
  }

  /** A byte. After a match it differs, as a rule, from the one that would have continued it. */
  private void literal(boolean afterMatch, int distance) {
    int before = written == 0 ? 0 : out[written - 1] & 0xff;
    int odds =
        LITERAL_ODDS
            * (((written & literalPositionMask) << literalContextBits)
                + (before >> (8 - literalContextBits)));
    int symbol = 1;
    if (afterMatch) {
      int other = out[written - distance - 1] & 0xff;
      for (int same = 1; same != 0 && symbol < 0x100; other <<= 1) {
        int expected = other >> 7 & 1;
        int bit = bit(literals, odds + ((1 + expected) << 8) + symbol);
        symbol = symbol << 1 | bit;
        same = expected ^ bit ^ 1;
      }
    }
    while (symbol < 0x100) {
      symbol = symbol << 1 | bit(literals, odds + symbol);
    }
    append((byte) symbol);
  }

  /** Distance less one of a match, -1 at the end. */
  private int distance(int length) {
    int slot = tree(slots, Math.min(length, 3) << SLOT_BITS, SLOT_BITS);
    if (slot < FIRST_MODELED_SLOT) {
      return slot;
    }
    int bits = (slot >> 1) - 1;
    int top = (2 | (slot & 1)) << bits;
    return slot < FIRST_DIRECT_SLOT
        ? top + reverseTree(modeled, top - slot, bits)
        : top + (direct(bits - ALIGN_BITS) << ALIGN_BITS) + reverseTree(align, 0, ALIGN_BITS);
  }

  private void copy(int distance, int length) {
    for (int i = 0; i < length; i++) {
      append(out[written - distance - 1]);
    }
  }

  private void append(byte value) {
    if (written == out.length) {
      out = Arrays.copyOf(out, Math.multiplyExact(out.length, 2));
    }
    out[written++] = value;
  }

  /** How long matches are, less {@link #LEAST_MATCH}: up to 8, up to 16, or more. */
  private final class Lengths {
    private final short[] choices = evenOdds(2);
    private final short[] low = evenOdds(POSITION_STATES << 3);
    private final short[] middle = evenOdds(POSITION_STATES << 3);
    private final short[] high = evenOdds(1 << 8);

    int next(int position) {
      return bit(choices, 0) == 0
          ? tree(low, position << 3, 3)
          : bit(choices, 1) == 0 ? 8 + tree(middle, position << 3, 3) : 16 + tree(high, 0, 8);
    }
  }

  private int tree(short[] odds, int offset, int bits) {
    int node = 1;
    for (int i = 0; i < bits; i++) {
      node = node << 1 | bit(odds, offset + node);
    }
    return node - (1 << bits);
  }

  private int reverseTree(short[] odds, int offset, int bits) {
    int node = 1;
    int value = 0;
    for (int i = 0; i < bits; i++) {
      int bit = bit(odds, offset + node);
      node = node << 1 | bit;
      value |= bit << i;
    }
    return value;
  }

  /** Bits of even odds. */
  private int direct(int bits) {
    int value = 0;
    for (int i = 0; i < bits; i++) {
      normalize();
      range >>>= 1;
      int bit = Integer.compareUnsigned(code, range) >= 0 ? 1 : 0;
      code -= range & -bit;
      value = value << 1 | bit;
    }
    return value;
  }

  private int bit(short[] odds, int index) {
    normalize();
    int chance = odds[index];
    int bound = (range >>> ODDS_BITS) * chance;
    if (Integer.compareUnsigned(code, bound) < 0) {
      range = bound;
      odds[index] = (short) (chance + (((1 << ODDS_BITS) - chance) >> ADAPTION));
      return 0;
    }
    range -= bound;
    code -= bound;
    odds[index] = (short) (chance - (chance >> ADAPTION));
    return 1;
  }

  private void normalize() {
    if (range >>> 24 == 0) {
      range <<= Byte.SIZE;
      code = code << Byte.SIZE | next();
    }
  }

  private int next() {
    return in[at++] & 0xff;
  }

  private static short[] evenOdds(int count) {
    short[] odds = new short[count];
    Arrays.fill(odds, (short) (1 << (ODDS_BITS - 1)));
    return odds;
  }
}
