package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PackedLayoutTest {
  private static final int[] UGLY_ROWS = {1, 7, 31, 33, 63, 64, 65, 127, 128, 129};
  private static final int[] UGLY_COLUMNS = {
    1, 7, 31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513
  };
  private static final int[] GROUPS = {0, 32, 64, 128};
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void roundTripsBitForBitAtUglySizes(int bits) {
    Random random = new Random(SEED + bits);
    for (int rows : UGLY_ROWS) {
      for (int columns : UGLY_COLUMNS) {
        PackedLayout layout = new PackedLayout(bits, rows, columns, 0);
        byte[] codes = randomCodes(random, bits, rows * columns);
        byte[] qweight = new byte[Math.toIntExact(layout.qweightBytes())];
        layout.pack(codes, MemorySegment.ofArray(qweight));
        String where = layout + ", -Dtests.seed=" + SEED;
        assertArrayEquals(byFormula(layout, codes), qweight, where);

        int width = layout.paddedColumns();
        byte[] block = new byte[PackedLayout.ROW_BLOCK * width];
        for (int b = 0; b < layout.rowBlocks(); b++) {
          layout.unpackRowBlock(MemorySegment.ofArray(qweight), b, 0, width, block);
          for (int r = 0; r < PackedLayout.ROW_BLOCK; r++) {
            for (int c = 0; c < width; c++) {
              int row = b * PackedLayout.ROW_BLOCK + r;
              int expected = row < rows && c < columns ? codes[row * columns + c] : 0;
              assertEquals((byte) expected, block[r * width + c], where);
              if (c % 37 == 0) {
                int code = layout.code(MemorySegment.ofArray(qweight), row, c);
                assertEquals((byte) expected, (byte) code, where);
              }
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 6, 8})
  void unpacksATileRowAndAColumnRangeAsTheWhole(int bits) {
    PackedLayout layout = new PackedLayout(bits, 129, 1025, 128);
    byte[] codes = randomCodes(new Random(SEED), bits, 129 * 1025);
    MemorySegment qweight = MemorySegment.ofArray(new byte[(int) layout.qweightBytes()]);
    layout.pack(codes, qweight);
    int height = layout.tileRows();
    byte[] part = new byte[height * 640];
    layout.unpackRows(qweight, 64 + height, height, 384, 640, part);
    for (int r = 0; r < height; r++) {
      for (int c = 0; c < 640; c++) {
        assertEquals(codes[(64 + height + r) * 1025 + 384 + c], part[r * 640 + c]);
      }
    }
  }

  /** One code set, all others 0: the bytes it lands in, read off kernels.md 5.1 by hand. */
  @ParameterizedTest
  @CsvSource({
    // bits, row, column, code, bytes as offset=value
    "8, 0, 0, a5, 0=a5",
    "8, 9, 53, 7f, 25d=7f",
    "4, 9, 53, d, 5d=d0",
    "2, 9, 53, 2, 5d=08",
    "6, 9, 53, 2b, 25d=2b",
    "6, 9, 117, 2b, 5d=c0 25d=80 45d=80",
    "3, 9, 53, 5, 5d=28",
    "3, 25, 53, 5, 45d=28",
    "3, 25, 85, 6, 5d=80 45d=40",
    "3, 25, 117, 5, 25d=40 45d=80",
  })
  void oneCodeLandsWhereTheFormulaSays(
      int bits, int row, int column, String code, String expected) {
    PackedLayout layout = new PackedLayout(bits, 64, 128, 0);
    byte[] codes = new byte[64 * 128];
    codes[row * 128 + column] = (byte) HexFormat.fromHexDigits(code);
    byte[] qweight = new byte[(int) layout.qweightBytes()];
    layout.pack(codes, MemorySegment.ofArray(qweight));
    byte[] wanted = new byte[qweight.length];
    for (String one : expected.split(" ", -1)) {
      String[] parts = one.split("=", -1);
      wanted[HexFormat.fromHexDigits(parts[0])] = (byte) HexFormat.fromHexDigits(parts[1]);
    }
    assertArrayEquals(wanted, qweight);
  }

  @Test
  void scalesFollowSubtilesInsideColumnBlocks() {
    for (int group : GROUPS) {
      for (int rows : UGLY_ROWS) {
        for (int columns : new int[] {1, 33, 127, 129, 512, 513, 1100}) {
          PackedLayout layout = new PackedLayout(4, rows, columns, group);
          long next = 0;
          BitSet seen = new BitSet();
          if (group == 0) {
            assertEquals(layout.paddedRows(), layout.scaleCount());
            assertEquals(rows - 1, layout.scaleIndex(rows - 1, 0));
            continue;
          }
          for (int block = 0; block < layout.paddedRows(); block += 64) {
            for (int first = 0; first < layout.paddedColumns(); first += 512) {
              int last = Math.min(first + 512, layout.paddedColumns());
              for (int tile = block; tile < block + 64; tile += 16) {
                for (int column = first; column < last; column += group) {
                  for (int row = tile; row < tile + 16; row++) {
                    assertEquals(next++, layout.scaleIndex(row, column / group));
                    seen.set((int) layout.scaleIndex(row, column / group));
                  }
                }
              }
            }
          }
          assertEquals(next, layout.scaleCount());
          assertEquals(next, seen.cardinality());
        }
      }
    }
  }

  @Test
  void costsWhatTheDesignSays() {
    assertEquals(4.1875, new PackedLayout(4, 4096, 4096, 128).bitsPerWeight(false));
    assertEquals(3.1875, new PackedLayout(3, 4096, 4096, 128).bitsPerWeight(false));
    assertEquals(2.1875, new PackedLayout(2, 4096, 4096, 128).bitsPerWeight(false));
    assertEquals(4.125, new PackedLayout(4, 4096, 4096, 128).bitsPerWeight(true));
  }

  @Test
  void countsPastTwoGigabytes() {
    PackedLayout layout = new PackedLayout(8, 100_000, 100_000, 32);
    assertEquals(100_032L * 100_096L, layout.qweightBytes());
    assertEquals(100_032L * (100_096 / 32), layout.scaleCount());
    assertEquals(layout.qweightBytes() - 1, layout.byteOffset(100_031, 100_095));
    assertEquals(layout.scaleCount() - 1, layout.scaleIndex(100_031, 100_096 / 32 - 1));
  }

  @Test
  void refusesWhatIsNoLayout() {
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(5, 1, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(4, 0, 1, 0));
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(4, 1, -1, 0));
    assertThrows(IllegalArgumentException.class, () -> new PackedLayout(4, 1, 1, 16));
    assertThrows(ArithmeticException.class, () -> new PackedLayout(4, Integer.MAX_VALUE, 1, 0));
    PackedLayout layout = new PackedLayout(3, 1, 1, 0);
    byte[] block = new byte[64 * 128];
    block[5] = 8;
    MemorySegment out = MemorySegment.ofArray(new byte[(int) layout.rowBlockBytes()]);
    assertThrows(IllegalArgumentException.class, () -> layout.packRowBlock(block, out));
    assertThrows(
        IllegalArgumentException.class,
        () -> layout.unpackRows(out, 16, 32, 0, 128, new byte[64 * 128]));
  }

  static byte[] randomCodes(Random random, int bits, int count) {
    byte[] codes = new byte[count];
    random.nextBytes(codes);
    for (int i = 0; i < count; i++) {
      codes[i] = (byte) (codes[i] & (1 << bits) - 1);
    }
    return codes;
  }

  /** The layout bit by bit, with nothing but the formulas of kernels.md 5.1 B. */
  private static byte[] byFormula(PackedLayout layout, byte[] codes) {
    int bits = layout.bits();
    int height = bits == 3 ? 32 : 16;
    int width = bits == 8 ? 32 : bits == 4 ? 64 : 128;
    int chunks = bits == 3 || bits == 6 ? 3 : 1;
    int rows = (layout.rows() + 63) / 64 * 64;
    int columns = (layout.columns() + 127) / 128 * 128;
    byte[] out = new byte[rows * columns * bits / 8];
    int at = 0;
    for (int rowBlock = 0; rowBlock < rows; rowBlock += 64) {
      for (int columnBlock = 0; columnBlock < columns; columnBlock += 512) {
        for (int top = rowBlock; top < rowBlock + 64; top += height) {
          for (int left = columnBlock; left < Math.min(columns, columnBlock + 512); left += width) {
            for (int c = 0; c < chunks; c++) {
              for (int lane = 0; lane < 32; lane++) {
                for (int j = 0; j < 4; j++) {
                  for (int i = 0; i < 4; i++) {
                    out[at++] = (byte) chunkByte(layout, codes, top, left, c, lane, j, i);
                  }
                }
              }
            }
          }
        }
      }
    }
    assertEquals(out.length, at);
    return out;
  }

  private static int chunkByte(
      PackedLayout layout, byte[] codes, int top, int left, int c, int lane, int j, int i) {
    int[] f = new int[8];
    for (int fragment = 0; fragment < 8; fragment++) {
      int step = layout.bits() == 3 ? fragment & 3 : fragment;
      int row = top + (layout.bits() == 3 ? fragment / 4 * 16 : 0) + (lane >> 2) + 8 * (j & 1);
      int column = left + 32 * step + 16 * (j >> 1) + 4 * (lane & 3) + i;
      if (row < layout.rows() && column < layout.columns()) {
        f[fragment] = codes[row * layout.columns() + column] & 0xff;
      }
    }
    return switch (layout.bits()) {
      case 8 -> f[0];
      case 4 -> f[0] | f[1] << 4;
      case 2 -> f[0] | f[1] << 2 | f[2] << 4 | f[3] << 6;
      case 6 -> f[c] | ((f[3] >> (2 * c)) & 3) << 6;
      default ->
          f[2 * c]
              | f[2 * c + 1] << 3
              | switch (c) {
                case 0 -> (f[6] & 3) << 6;
                case 1 -> (f[7] & 3) << 6;
                default -> f[6] >> 2 << 6 | f[7] >> 2 << 7;
              };
    };
  }
}
