package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bindings.cuda.cuda_constants;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
  private static final int OUT_OF_MEMORY = cuda_constants.CUDA_ERROR_OUT_OF_MEMORY();
  private static final int ILLEGAL_ADDRESS = cuda_constants.CUDA_ERROR_ILLEGAL_ADDRESS();
  private static final byte[] IMAGE = {1, 2, 3};

  private static Device open(FakeDriver driver) {
    return Device.open(Optional.of(driver), 0);
  }

  /** Every function of the driver, the way an engine would use it. */
  private static void useEverything(FakeDriver driver) {
    try (Device device = open(driver);
        Stream stream = device.newStream();
        Event start = device.newEvent(Event.Timing.KEPT);
        Event end = device.newEvent(Event.Timing.KEPT);
        DeviceBuffer first = device.allocate(100);
        DeviceBuffer second = device.allocate(60);
        PinnedBuffer staging = device.allocatePinned(100);
        KernelLibrary library = device.load(IMAGE);
        Arena arena = Arena.ofConfined()) {
      assertTrue(device.memory().freeBytes() < device.memory().totalBytes());
      Kernel kernel = library.kernel("act_quant");
      kernel.allowSharedBytes(100_000);
      assertTrue(kernel.registers() > 0);
      MemorySegment arguments = arena.allocate(64);
      stream.record(start);
      first.upload(stream, 0, staging, 0, 100);
      second.copyFrom(stream, 0, first, 40, 60);
      second.fill(stream, 0, 10, (byte) 1);
      second.download(stream, 0, staging, 0, 60);
      stream.record(end);
      stream.waitFor(start);
      end.synchronize();
      assertEquals(1.5f, end.millisecondsSince(start));
      try (Graph graph =
          stream.capture(
              () -> kernel.launch(stream, LaunchConfig.of(Dim3.of(3), Dim3.of(256)), arguments))) {
        graph.launch(stream);
      }
      stream.synchronize();
      device.synchronize();
    }
  }

  @Test
  void everythingIsFreed() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    useEverything(driver);
    assertEquals(List.of(), driver.live());
    assertEquals("cuDevicePrimaryCtxRelease", driver.calls().getLast());
  }

  @Test
  void theFailureOfAnyCallIsThrownAndNothingLeaks() {
    FakeDriver sound = FakeDriver.of(13_000, 1);
    useEverything(sound);
    for (int i = 0; i < sound.calls().size(); i++) {
      String function = sound.calls().get(i);
      FakeDriver driver = FakeDriver.failing(i, OUT_OF_MEMORY);
      RuntimeException e =
          assertThrows(RuntimeException.class, () -> useEverything(driver), function);
      assertTrue(e.getMessage().contains(function + " failed"), e::getMessage);
      assertEquals(List.of(), driver.live(), () -> "after a failing " + function);
    }
  }

  @Test
  void afterALossTheDriverIsLeftAlone() {
    FakeDriver sound = FakeDriver.of(13_000, 1);
    useEverything(sound);
    for (int i = 0; i < sound.calls().size(); i++) {
      String function = sound.calls().get(i);
      FakeDriver driver = FakeDriver.failing(i, ILLEGAL_ADDRESS);
      RuntimeException e =
          assertThrows(RuntimeException.class, () -> useEverything(driver), function);
      assertTrue(e.getMessage().contains(function + " failed"), e::getMessage);
      assertEquals(i + 1, driver.calls().size(), () -> driver.calls().toString());
    }
  }

  @Test
  void aLostDeviceSaysSoAtEveryUse() {
    FakeDriver sound = FakeDriver.of(13_000, 1);
    try (Device device = open(sound)) {
      device.synchronize();
    }
    FakeDriver driver =
        FakeDriver.failing(sound.calls().indexOf("cuCtxSynchronize"), ILLEGAL_ADDRESS);
    Device device = open(driver);
    CudaException first = assertThrows(CudaException.class, device::synchronize);
    int calls = driver.calls().size();
    CudaException second = assertThrows(CudaException.class, () -> device.allocate(1));
    assertEquals(first.getMessage(), second.getMessage());
    assertSame(first, second.getCause());
    assertTrue(second.isSticky());
    device.close();
    assertEquals(calls, driver.calls().size());
  }

  @Test
  void closingTheDeviceClosesWhatIsOpenNewestFirst() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    Device device = open(driver);
    Stream stream = device.newStream();
    DeviceBuffer buffer = device.allocate(1);
    device.newEvent(Event.Timing.NONE);
    buffer.close();
    int calls = driver.calls().size();
    device.close();
    assertEquals(
        List.of(
            "cuCtxSetCurrent",
            "cuCtxSynchronize",
            "cuEventDestroy",
            "cuStreamDestroy",
            "cuDevicePrimaryCtxRelease"),
        driver.calls().subList(calls, driver.calls().size()));
    assertEquals(List.of(), driver.live());
    calls = driver.calls().size();
    device.close();
    stream.close();
    buffer.close();
    assertEquals(calls, driver.calls().size(), "closing twice");
    assertThrows(IllegalStateException.class, stream::synchronize);
    assertThrows(IllegalStateException.class, buffer::address);
    assertThrows(IllegalStateException.class, device::synchronize);
    assertThrows(IllegalStateException.class, device::newStream);
  }

  @Test
  void copiesReachTheMemory() {
    try (Device device = open(FakeDriver.of(13_000, 1));
        Stream stream = device.newStream();
        DeviceBuffer memory = device.allocate(7);
        DeviceBuffer other = device.allocate(4);
        PinnedBuffer staging = device.allocatePinned(9)) {
      MemorySegment host = staging.segment();
      for (int i = 0; i < 9; i++) {
        host.set(ValueLayout.JAVA_BYTE, i, (byte) (10 + i));
      }
      memory.upload(stream, 0, staging, 2, 7);
      memory.fill(stream, 6, 1, (byte) -1);
      other.copyFrom(stream, 0, memory, 3, 4);
      other.download(stream, 1, staging, 0, 3);
      stream.synchronize();
      assertArrayEquals(
          new byte[] {16, 17, -1, 13, 14, 15, 16, 17, 18}, host.toArray(ValueLayout.JAVA_BYTE));
    }
  }

  @Test
  void rangesAreChecked() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    try (Device device = open(driver);
        Stream stream = device.newStream();
        DeviceBuffer memory = device.allocate(7);
        PinnedBuffer staging = device.allocatePinned(9)) {
      int calls = driver.calls().size();
      for (long[] range : new long[][] {{0, 8}, {7, 1}, {-1, 1}, {1, Long.MAX_VALUE}, {0, -1}}) {
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> memory.fill(stream, range[0], range[1], (byte) 0));
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> memory.upload(stream, range[0], staging, 0, range[1]));
      }
      assertThrows(IndexOutOfBoundsException.class, () -> memory.upload(stream, 0, staging, 3, 7));
      assertThrows(IllegalArgumentException.class, () -> device.allocate(0));
      assertThrows(IllegalArgumentException.class, () -> device.allocatePinned(-1));
      assertEquals(calls, driver.calls().size());
    }
  }

  @Test
  void pinnedMemoryIsOutOfReachOnceClosed() {
    try (Device device = open(FakeDriver.of(13_000, 1))) {
      PinnedBuffer buffer = device.allocatePinned(8);
      MemorySegment host = buffer.segment();
      buffer.close();
      assertThrows(IllegalStateException.class, () -> host.get(ValueLayout.JAVA_BYTE, 0));
    }
  }

  @Test
  void launchesCarryTheirConfiguration() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    try (Device device = open(driver);
        Stream stream = device.newStream();
        KernelLibrary library = device.load(IMAGE);
        Arena arena = Arena.ofConfined()) {
      MemorySegment arguments = arena.allocate(64);
      Kernel kernel = library.kernel("act_quant");
      kernel.launch(
          stream,
          new LaunchConfig(
              new Dim3(1, 2, 3), new Dim3(4, 5, 6), 7, LaunchConfig.Start.WHEN_PREVIOUS_ALLOWS),
          arguments);
      kernel.launch(
          stream,
          new LaunchConfig(
              new Dim3(1, 8, 1),
              Dim3.of(32),
              0,
              LaunchConfig.Start.WHEN_PREVIOUS_ALLOWS,
              new Dim3(1, 4, 1)),
          arguments);
      kernel.launch(stream, LaunchConfig.of(Dim3.of(8), Dim3.of(9)), arguments);
    }
    assertEquals(
        List.of(
            new FakeDriver.Launch(
                "act_quant",
                new Dim3(1, 2, 3),
                new Dim3(4, 5, 6),
                7,
                List.of(cuda_constants.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION())),
            new FakeDriver.Launch(
                "act_quant",
                new Dim3(1, 8, 1),
                Dim3.of(32),
                0,
                List.of(
                    cuda_constants.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION(),
                    cuda_constants.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION())),
            new FakeDriver.Launch("act_quant", new Dim3(8, 1, 1), new Dim3(9, 1, 1), 0, List.of())),
        driver.launches());
  }

  @Test
  void aGridIsWholeClusters() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new LaunchConfig(
                new Dim3(1, 6, 1),
                Dim3.of(32),
                0,
                LaunchConfig.Start.AFTER_PREVIOUS,
                new Dim3(1, 4, 1)));
  }

  @Test
  void workThatThrowsLeavesTheStreamUsable() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    try (Device device = open(driver);
        Stream stream = device.newStream()) {
      IllegalStateException thrown = new IllegalStateException("the work's own");
      assertSame(
          thrown,
          assertThrows(
              IllegalStateException.class,
              () ->
                  stream.capture(() -> {
                    throw thrown;
                  })));
      assertEquals(List.of("context", "stream"), driver.live());
      stream.capture(() -> {}).launch(stream);
    }
    assertEquals(List.of(), driver.live());
  }

  @ParameterizedTest
  @ValueSource(ints = {-1, 2, Integer.MAX_VALUE})
  void aDeviceThatIsNotThereIsNamed(int ordinal) {
    FakeDriver driver = FakeDriver.of(13_000, 2);
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> Device.open(Optional.of(driver), ordinal));
    assertEquals("CUDA device " + ordinal + ": this machine has 2", e.getMessage());
  }

  @Test
  void withoutADriverTheAdviceIsThrown() {
    RuntimeException e =
        assertThrows(RuntimeException.class, () -> Device.open(Optional.empty(), 0));
    assertInstanceOf(CudaUnavailableException.class, e);
    assertTrue(e.getMessage().contains("libcuda.so.1") && e.getMessage().contains("580"));
  }
}
