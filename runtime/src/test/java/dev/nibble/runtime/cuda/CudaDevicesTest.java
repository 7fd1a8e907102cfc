package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.bindings.cuda.cuda_constants;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CudaDevicesTest {
  private static CudaStatus probe(FakeDriver driver) {
    return CudaDevices.probe(Optional.of(driver));
  }

  private static void assertOneLine(String text) {
    assertFalse(text.isBlank() || text.contains("\n"), text);
  }

  @Test
  void anAbsentLibraryIsAStatus() {
    CudaStatus status = CudaDevices.probe(Optional.empty());
    assertInstanceOf(CudaStatus.DriverAbsent.class, status);
    assertTrue(status.summary().contains("libcuda.so.1"), status::summary);
    assertTrue(status.advice().contains("580"), status::advice);
  }

  @Test
  void thisMachineGivesAStatusTwice() {
    for (int i = 0; i < 2; i++) {
      CudaStatus status = CudaDevices.probe();
      assertOneLine(status.summary());
      assertEquals(
          NativeDriver.canLoad(NativeDriver.LIBRARY),
          !(status instanceof CudaStatus.DriverAbsent),
          status::summary);
    }
  }

  @Test
  void aLibraryThatIsNotThereCannotBeLoaded() {
    assertFalse(NativeDriver.canLoad("libnibble-of-no-machine.so.1"));
    assertTrue(NativeDriver.canLoad("libc.so.6"));
  }

  @Test
  void propertiesAreTheDrivers() {
    CudaStatus.Ready ready =
        assertInstanceOf(CudaStatus.Ready.class, probe(FakeDriver.of(13_010, 2)));
    assertEquals(new CudaVersion(13, 1), ready.driver());
    assertEquals(2, ready.devices().size());
    assertEquals(
        new DeviceProperties(
            1,
            "NVIDIA H200",
            "GPU-a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf",
            new ComputeCapability(9, 0),
            FakeDriver.MEMORY_BYTES,
            132,
            60 << 20,
            232_448),
        ready.devices().get(1));
    assertOneLine(ready.summary());
  }

  @Test
  void aDeviceWithoutImagesIsAdvisedOf() {
    DeviceProperties old =
        new DeviceProperties(0, "Old", "GPU-0", new ComputeCapability(3, 5), 1L, 1, 1, 1);
    CudaStatus ready = new CudaStatus.Ready(CudaVersion.NEEDED, List.of(old, old));
    assertTrue(ready.advice().contains("Old (3.5):"), ready::advice);
    assertOneLine(ready.advice());
  }

  @Test
  void anOldDriverIsNotStarted() {
    FakeDriver driver = FakeDriver.of(12_080, 1);
    CudaStatus status = probe(driver);
    assertEquals(new CudaStatus.DriverTooOld(new CudaVersion(12, 8)), status);
    assertFalse(driver.calls().contains("cuInit"));
    assertTrue(status.summary().contains("12.8") && status.summary().contains("13.0"));
    assertTrue(status.advice().contains("580"), status::advice);
  }

  /** When this fails, the release that brings the new version goes into CudaVersion. */
  @Test
  void theReleaseBelongsToTheVersion() {
    assertEquals(new CudaVersion(13, 0), CudaVersion.NEEDED);
    assertEquals(System.getProperty("cuda.version"), CudaVersion.NEEDED.toString());
    assertEquals(580, CudaVersion.NEEDED_RELEASE);
  }

  @Test
  void noDeviceIsAStatus() {
    CudaStatus status = probe(FakeDriver.of(13_000, 0));
    assertEquals(new CudaStatus.NoDevice(CudaVersion.NEEDED), status);
    assertTrue(status.advice().contains("CUDA_VISIBLE_DEVICES"), status::advice);
  }

  @Test
  void everyFailingCallIsAStatusThatNamesIt() {
    FakeDriver sound = FakeDriver.of(13_000, 1);
    probe(sound);
    assertTrue(sound.calls().size() > 8, sound.calls()::toString);
    for (int i = 0; i < sound.calls().size(); i++) {
      FakeDriver driver = FakeDriver.failing(i, 999);
      CudaStatus.Unusable status = assertInstanceOf(CudaStatus.Unusable.class, probe(driver));
      assertEquals(sound.calls().get(i), status.cause().function());
      assertEquals(i + 1, driver.calls().size(), "calls after the failure");
      assertEquals(
          status.cause().function() + " failed: NAME_999 (999), text of 999", status.summary());
      assertOneLine(status.advice());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {34, 802, 803, 804, 999, 12_345})
  void everyRefusalToStartHasAdvice(int code) {
    FakeDriver driver = FakeDriver.failing(1, code);
    CudaStatus status = probe(driver);
    assertEquals("cuInit", driver.calls().getLast());
    assertOneLine(status.summary());
    assertTrue(status.summary().contains("(" + code + ")"), status::summary);
    assertOneLine(status.advice());
  }

  @Test
  void faultsAreStickyAndShortagesAreNot() {
    FakeDriver driver = FakeDriver.of(13_000, 1);
    for (int code : new int[] {214, 700, 702, 710, 714, 715, 716, 717, 718, 719}) {
      assertTrue(Cuda.failure(driver, "f", code).isSticky(), () -> "code " + code);
    }
    for (int code :
        new int[] {
          cuda_constants.CUDA_ERROR_INVALID_VALUE(),
          cuda_constants.CUDA_ERROR_OUT_OF_MEMORY(),
          cuda_constants.CUDA_ERROR_NOT_READY()
        }) {
      assertFalse(Cuda.failure(driver, "f", code).isSticky(), () -> "code " + code);
    }
  }
}
