package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;

class ChecksumJoinTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());

  @Test
  void partsGiveTheSumOfTheWhole() {
    Random random = new Random(SEED);
    for (int length : new int[] {0, 1, 2, 255, 256, 4097, 1 << 20}) {
      byte[] bytes = new byte[length];
      random.nextBytes(bytes);
      int cut = random.nextInt(length + 1);
      int joined = ChecksumJoin.join(sum(bytes, 0, cut), sum(bytes, cut, length), length - cut);
      assertEquals(sum(bytes, 0, length), joined, length + " bytes, -Dtests.seed=" + SEED);
    }
  }

  private static int sum(byte[] bytes, int from, int to) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, to - from);
    return (int) crc.getValue();
  }
}
