package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.runtime.GpuTest;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The wrappers on a real driver. */
@GpuTest
class DeviceGpuTest {
  private static final long SEED = Long.getLong("tests.seed", System.nanoTime());
  private static final int BYTES = 1_000_003;

  @Test
  void propertiesAreThoseOfAGpu() {
    CudaStatus.Ready ready = assertInstanceOf(CudaStatus.Ready.class, CudaDevices.probe());
    DeviceProperties properties = ready.devices().getFirst();
    assertTrue(properties.name().startsWith("NVIDIA"), properties::toString);
    assertTrue(properties.uuid().matches("GPU(-[0-9a-f]+){5}"), properties::toString);
    assertTrue(properties.memoryBytes() > 1L << 30, properties::toString);
    assertTrue(properties.multiprocessors() > 1, properties::toString);
    assertTrue(properties.sharedBytesPerBlock() >= 48 << 10, properties::toString);
    assertEquals("", ready.advice());
  }

  @Test
  void bytesGoThereAndBack() {
    byte[] sent = new byte[BYTES];
    new Random(SEED).nextBytes(sent);
    try (Device device = Device.open(0);
        Stream stream = device.newStream();
        DeviceBuffer first = device.allocate(BYTES);
        DeviceBuffer second = device.allocate(BYTES);
        PinnedBuffer staging = device.allocatePinned(BYTES)) {
      assertTrue(device.memory().freeBytes() <= device.memory().totalBytes());
      MemorySegment.copy(sent, 0, staging.segment(), ValueLayout.JAVA_BYTE, 0, BYTES);
      first.upload(stream, 0, staging, 0, BYTES);
      second.fill(stream, 0, BYTES, (byte) 7);
      second.copyFrom(stream, 100, first, 200, BYTES - 300);
      stream.synchronize();
      staging.segment().fill((byte) 0);
      second.download(stream, 0, staging, 0, BYTES);
      stream.synchronize();
      for (int i = 0; i < BYTES; i++) {
        byte expected = i < 100 || i >= BYTES - 200 ? 7 : sent[i + 100];
        assertEquals(expected, staging.segment().get(ValueLayout.JAVA_BYTE, i), () -> "" + SEED);
      }
    }
  }

  @Test
  void aGraphRunsAsOftenAsItIsLaunched() {
    try (Device device = Device.open(0);
        Stream stream = device.newStream();
        Stream other = device.newStream();
        Event start = device.newEvent(Event.Timing.KEPT);
        Event end = device.newEvent(Event.Timing.KEPT);
        DeviceBuffer memory = device.allocate(BYTES);
        PinnedBuffer staging = device.allocatePinned(2)) {
      memory.fill(stream, 0, BYTES, (byte) 1);
      try (Graph graph =
          stream.capture(() -> {
            memory.copyFrom(stream, 1, memory, 0, 1);
            memory.fill(stream, 0, 1, (byte) 5);
          })) {
        stream.synchronize();
        stream.record(start);
        graph.launch(stream);
        stream.record(end);
        other.waitFor(end);
        memory.download(other, 0, staging, 0, 2);
        other.synchronize();
        assertEquals(5, staging.segment().get(ValueLayout.JAVA_BYTE, 0));
        assertEquals(1, staging.segment().get(ValueLayout.JAVA_BYTE, 1));
        graph.launch(stream);
        stream.synchronize();
        memory.download(other, 0, staging, 0, 2);
        other.synchronize();
        assertEquals(5, staging.segment().get(ValueLayout.JAVA_BYTE, 1));
        assertTrue(end.millisecondsSince(start) > 0);
      }
    }
  }

  @Test
  void moreThanThereIsIsRefusedAndTheDeviceLives() {
    try (Device device = Device.open(0)) {
      long tooMuch = 2 * device.properties().memoryBytes();
      CudaException refusal = assertThrows(CudaException.class, () -> device.allocate(tooMuch));
      assertEquals("CUDA_ERROR_OUT_OF_MEMORY", refusal.name());
      device.synchronize();
    }
  }
}
