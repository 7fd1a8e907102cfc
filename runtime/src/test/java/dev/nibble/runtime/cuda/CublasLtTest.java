package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import org.junit.jupiter.api.Test;

class CublasLtTest {
  @Test
  void anAbsentLibraryIsEmptyAndNoError() {
    boolean here = NativeDriver.canLoad(CublasLt.LIBRARY);
    assertEquals(here, CublasLt.version().isPresent());
    if (!here) {
      try (Device device = FakeDevice.sound().open()) {
        assertFalse(CublasLt.open(device).isPresent());
      }
    }
  }
}
