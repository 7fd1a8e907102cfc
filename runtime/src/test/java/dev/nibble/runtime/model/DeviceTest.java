package dev.nibble.runtime.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.engine.Engine;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceTest {
  @Test
  void readsItsNames() {
    assertEquals(Device.auto(), Device.parse("auto"));
    assertEquals(Device.cpu(), Device.parse("CPU"));
    assertEquals(Device.cuda(0), Device.parse("cuda"));
    assertEquals(Device.cuda(3), Device.parse("cuda:3"));
    assertEquals("cuda:3", Device.cuda(3).toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:9999999999", "cpu:0"})
  void refusesOthers(String name) {
    assertThrows(IllegalArgumentException.class, () -> Device.parse(name));
  }

  @Test
  void aRefusedDeviceStillClosesTheWeights() {
    AtomicBoolean closed = new AtomicBoolean();
    ModelWeights weights = ModelWeights.synthetic("books-8m", QuantScheme.parse("W2A16g128"));
    ModelWeights watched =
        new ModelWeights(
            weights.config(),
            weights.embedding(),
            weights.positions(),
            weights.blocks(),
            weights.finalNorm(),
            weights.head(),
            weights.bytes(),
            () -> {
              closed.set(true);
              weights.close();
            });
    DeviceException refusal =
        assertThrows(
            DeviceException.class,
            () -> Engine.create(watched, Device.cuda(0), ModelOptions.DEFAULT));
    assertEquals(true, closed.get());
    assertFalse(refusal.getMessage().contains("\n"));
  }

  @Test
  void optionsThatDoNotFitTheModelAreRefused() {
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(2000);
    assertThrows(
        IllegalArgumentException.class,
        () ->
            Engine.create(
                ModelWeights.synthetic("books-8m", QuantScheme.W16A16), Device.cpu(), options));
    assertThrows(IllegalArgumentException.class, () -> new ModelOptions(0, 257, 0));
    assertThrows(IllegalArgumentException.class, () -> new ModelOptions(-1, 1, 0));
  }

  @Test
  void anUnknownShapeIsRefusedWithTheKnownOnes() {
    IllegalArgumentException refusal =
        assertThrows(
            IllegalArgumentException.class,
            () -> ModelWeights.synthetic("gpt-5", QuantScheme.W16A16));
    for (String shape : ModelWeights.syntheticShapes()) {
      assertEquals(true, refusal.getMessage().contains(shape));
    }
  }
}
