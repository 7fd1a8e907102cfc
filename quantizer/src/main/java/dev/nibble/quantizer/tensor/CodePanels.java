package dev.nibble.quantizer.tensor;

import static dev.nibble.quantizer.tensor.CodeWords.BLOCK;
import static dev.nibble.quantizer.tensor.CodeWords.BLOCK_BYTES;
import static dev.nibble.quantizer.tensor.Lanes.INTS;
import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Spreads the codes of one run of a row block into floats, [columns, 64]. A code that lies at bit s
 * of its word comes out as code * 2^s, because masking and converting is then all it takes; the
 * inputs it meets carry 2^-s ({@link #shift}), so that each product is the exact one.
 */
final class CodePanels {
  private static final int LANES = INTS.length();

  private CodePanels() {}

  /**
   * The power of two in a code.
   *
   * @param bits code width
   * @param column column in its unit
   * @return s
   */
  static int shift(int bits, int column) {
    return switch (bits) {
      case 8 -> column == 3 ? 0 : 8 * column;
      case 4 -> 4 * (column % 4);
      case 2 -> 2 * (column % 4);
      case 6 -> column == 15 ? 0 : 6 * (column % 5 % 3);
      default -> column >= 30 ? 0 : 3 * (column % 5);
    };
  }

  static void expand(int bits, MemorySegment words, long at, int units, float[] panel) {
    switch (bits) {
      case 8 -> expand8(words, at, units, panel);
      case 4 -> expand4(words, at, units, panel);
      case 2 -> expand2(words, at, units, panel);
      case 6 -> expand6(words, at, units, panel);
      default -> expand3(words, at, units, panel);
    }
  }

  private static void expand8(MemorySegment words, long at, int units, float[] panel) {
    int p = 0;
    for (int u = 0; u < units; u++) {
      for (int i = 0; i < BLOCK; i += LANES, p += LANES) {
        IntVector w =
            IntVector.fromMemorySegment(INTS, words, at + (long) i * Integer.BYTES, LITTLE_ENDIAN);
        ((FloatVector) w.and(0xff).convert(I2F, 0)).intoArray(panel, p);
        ((FloatVector) w.and(0xff00).convert(I2F, 0)).intoArray(panel, p + BLOCK);
        ((FloatVector) w.and(0xff0000).convert(I2F, 0)).intoArray(panel, p + 2 * BLOCK);
        ((FloatVector) w.lanewise(LSHR, 24).convert(I2F, 0)).intoArray(panel, p + 3 * BLOCK);
      }
      p += 3 * BLOCK;
      at += BLOCK_BYTES;
    }
  }

  private static void expand4(MemorySegment words, long at, int units, float[] panel) {
    int p = 0;
    for (int u = 0; u < units; u++) {
      for (int i = 0; i < BLOCK; i += LANES, p += LANES) {
        IntVector w =
            IntVector.fromMemorySegment(INTS, words, at + (long) i * Integer.BYTES, LITTLE_ENDIAN);
        IntVector h = w.lanewise(LSHR, 16);
        ((FloatVector) w.and(0xf).convert(I2F, 0)).intoArray(panel, p);
        ((FloatVector) w.and(0xf0).convert(I2F, 0)).intoArray(panel, p + BLOCK);
        ((FloatVector) w.and(0xf00).convert(I2F, 0)).intoArray(panel, p + 2 * BLOCK);
        ((FloatVector) w.and(0xf000).convert(I2F, 0)).intoArray(panel, p + 3 * BLOCK);
        ((FloatVector) h.and(0xf).convert(I2F, 0)).intoArray(panel, p + 4 * BLOCK);
        ((FloatVector) h.and(0xf0).convert(I2F, 0)).intoArray(panel, p + 5 * BLOCK);
        ((FloatVector) h.and(0xf00).convert(I2F, 0)).intoArray(panel, p + 6 * BLOCK);
        ((FloatVector) h.and(0xf000).convert(I2F, 0)).intoArray(panel, p + 7 * BLOCK);
      }
      p += 7 * BLOCK;
      at += BLOCK_BYTES;
    }
  }

  private static void expand2(MemorySegment words, long at, int units, float[] panel) {
    int p = 0;
    for (int u = 0; u < units; u++) {
      for (int i = 0; i < BLOCK; i += LANES, p += LANES) {
        IntVector w =
            IntVector.fromMemorySegment(INTS, words, at + (long) i * Integer.BYTES, LITTLE_ENDIAN);
        for (int c = 0; c < 16; c += 4) {
          ((FloatVector) w.and(0x3).convert(I2F, 0)).intoArray(panel, p + c * BLOCK);
          ((FloatVector) w.and(0xc).convert(I2F, 0)).intoArray(panel, p + (c + 1) * BLOCK);
          ((FloatVector) w.and(0x30).convert(I2F, 0)).intoArray(panel, p + (c + 2) * BLOCK);
          ((FloatVector) w.and(0xc0).convert(I2F, 0)).intoArray(panel, p + (c + 3) * BLOCK);
          w = w.lanewise(LSHR, 8);
        }
      }
      p += 15 * BLOCK;
      at += BLOCK_BYTES;
    }
  }

  private static void expand6(MemorySegment words, long at, int units, float[] panel) {
    int p = 0;
    for (int u = 0; u < units; u++) {
      for (int i = 0; i < BLOCK; i += LANES, p += LANES) {
        IntVector last = IntVector.zero(INTS);
        for (int j = 2; j >= 0; j--) {
          long from = at + (long) j * BLOCK_BYTES + (long) i * Integer.BYTES;
          IntVector w = IntVector.fromMemorySegment(INTS, words, from, LITTLE_ENDIAN);
          int c = 5 * j;
          ((FloatVector) w.and(0x3f).convert(I2F, 0)).intoArray(panel, p + c * BLOCK);
          ((FloatVector) w.and(0xfc0).convert(I2F, 0)).intoArray(panel, p + (c + 1) * BLOCK);
          ((FloatVector) w.and(0x3f000).convert(I2F, 0)).intoArray(panel, p + (c + 2) * BLOCK);
          IntVector h = w.lanewise(LSHR, 18);
          ((FloatVector) h.and(0x3f).convert(I2F, 0)).intoArray(panel, p + (c + 3) * BLOCK);
          ((FloatVector) h.and(0xfc0).convert(I2F, 0)).intoArray(panel, p + (c + 4) * BLOCK);
          last = last.lanewise(LSHL, 2).or(w.lanewise(LSHR, 30));
        }
        ((FloatVector) last.convert(I2F, 0)).intoArray(panel, p + 15 * BLOCK);
      }
      p += 15 * BLOCK;
      at += 3 * BLOCK_BYTES;
    }
  }

  private static void expand3(MemorySegment words, long at, int units, float[] panel) {
    int p = 0;
    for (int u = 0; u < units; u++) {
      for (int i = 0; i < BLOCK; i += LANES, p += LANES) {
        IntVector last = IntVector.zero(INTS);
        for (int j = 2; j >= 0; j--) {
          long from = at + (long) j * BLOCK_BYTES + (long) i * Integer.BYTES;
          IntVector w = IntVector.fromMemorySegment(INTS, words, from, LITTLE_ENDIAN);
          last = last.lanewise(LSHL, 2).or(w.lanewise(LSHR, 30));
          for (int c = 10 * j; c < 10 * j + 10; c += 5) {
            ((FloatVector) w.and(0x7).convert(I2F, 0)).intoArray(panel, p + c * BLOCK);
            ((FloatVector) w.and(0x38).convert(I2F, 0)).intoArray(panel, p + (c + 1) * BLOCK);
            ((FloatVector) w.and(0x1c0).convert(I2F, 0)).intoArray(panel, p + (c + 2) * BLOCK);
            ((FloatVector) w.and(0xe00).convert(I2F, 0)).intoArray(panel, p + (c + 3) * BLOCK);
            ((FloatVector) w.and(0x7000).convert(I2F, 0)).intoArray(panel, p + (c + 4) * BLOCK);
            w = w.lanewise(LSHR, 15);
          }
        }
        ((FloatVector) last.and(0x7).convert(I2F, 0)).intoArray(panel, p + 30 * BLOCK);
        ((FloatVector) last.lanewise(LSHR, 3).convert(I2F, 0)).intoArray(panel, p + 31 * BLOCK);
      }
      p += 31 * BLOCK;
      at += 3 * BLOCK_BYTES;
    }
  }
}
