package dev.nibble.runtime.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.FakeDevice;
import dev.nibble.runtime.cuda.Stream;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is not launched. */
class LargeGemmTest {
  private static final int TOKENS = 7;
  private static final int ROWS = 33;
  private static final int COLUMNS = 65;

  private static DeviceRange room(Device device, long bytes) {
    return DeviceRange.of(device.allocate(bytes));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 32})
  void codesWithoutScalesNeedGroups(int groupSize) {
    FakeDevice fake = FakeDevice.sound();
    try (Device device = fake.open();
        Stream stream = device.newStream()) {
      LargeGemm gemm = new LargeGemm(new KernelCatalog(device, "sm_90a", _ -> new byte[] {1}));
      PackedLayout layout = new PackedLayout(4, ROWS, COLUMNS, groupSize);
      DeviceWeights weights =
          new DeviceWeights.Packed(
              layout,
              room(device, layout.qweightBytes()),
              room(device, Short.BYTES * layout.scaleCount()),
              null);
      InputTiler.Kind kind = InputTiler.Kind.CODES;
      InputTiler.Tiled x =
          new InputTiler.Tiled(
              kind, TOKENS, COLUMNS, room(device, InputTiler.bytes(kind, TOKENS, COLUMNS)));
      MatrixRows y = new MatrixRows(room(device, (long) Float.BYTES * TOKENS * 34), 34);
      if (groupSize == 0) {
        assertThrows(
            IllegalArgumentException.class,
            () -> gemm.multiply(stream, weights, null, x, null, Epilogue.STORE_FLOAT, y));
        assertEquals(List.of(), fake.kernels());
      } else {
        gemm.multiply(stream, weights, null, x, null, Epilogue.STORE_FLOAT, y);
        assertEquals(1, fake.kernels().size());
      }
    }
  }
}
