package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.SyntheticModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.cuda.FakeDevice;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.DeviceException;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.UnfitModelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The engine on a driver that only keeps books: what it calls, and what it leaves behind. */
class CudaEngineTest {
  private static final ModelOptions OPTIONS = new ModelOptions(16, 3, 1);

  /** A packed model with everything that methods add and a GPU takes. */
  private static final String PACKED = "packed";

  /** Of the same sizes, what is in it made on the device. */
  private static final String MADE = "made";

  /** Weights that the host never has. */
  private static final String SYNTHETIC = "synthetic";

  @TempDir private static Path folder;

  @BeforeAll
  static void pack() throws IOException {
    SyntheticModel.ofKeptColumns(QuantScheme.parse("W4A8g32KV4H8"), 1)
        .writePacked(Files.createDirectory(folder.resolve(PACKED)));
  }

  static CudaEngine engine(FakeDevice device, String model, ModelOptions options)
      throws IOException {
    if (model.equals(SYNTHETIC)) {
      return CudaEngine.create(
          ModelWeights.syntheticSizes("books-8m", QuantScheme.parse("W3A8KV8H8")),
          SyntheticContents::of,
          options,
          new KernelCatalog(device.open(), "sm_90a", _ -> new byte[] {1}),
          Device.cuda(0));
    }
    boolean made = model.equals(MADE);
    Path source =
        made || model.equals(PACKED)
            ? folder.resolve(PACKED)
            : TestModels.resource("tiny/" + model);
    try (ModelWeights weights = ModelWeights.of(Checkpoint.open(source))) {
      return CudaEngine.create(
          weights,
          made ? SyntheticContents::of : DeviceUpload::of,
          options,
          new KernelCatalog(device.open(), "sm_90a", _ -> new byte[] {1}),
          Device.cuda(0));
    }
  }

  /**
   * Load, prompts, steps of every batch size, logits, close, the last two with a step under way.
   */
  private static void useEverything(FakeDevice device, String model) throws IOException {
    try (CudaEngine engine = engine(device, model, OPTIONS)) {
      Sequence[] sequences = new Sequence[OPTIONS.sequences()];
      for (int i = 0; i < sequences.length; i++) {
        sequences[i] = engine.open(SamplingParameters.GREEDY);
        assertEquals(0, engine.prefill(sequences[i], new int[] {1, 2, 3}));
      }
      for (int count = 1; count <= sequences.length; count++) {
        engine.step(sequences, count, new int[] {4, 5, 6});
      }
      assertEquals(6, sequences[0].length());
      int[] chosen = {4, 5, 6};
      for (int i = 0; i < 3; i++) {
        engine.step(sequences, sequences.length, chosen);
      }
      engine.score(sequences[0], new int[] {7, 8}, (_, _, _) -> {});
      sequences[1].close();
      for (int i = 0; i < 2; i++) {
        engine.step(sequences, 1, chosen);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt", PACKED, SYNTHETIC})
  void everythingIsFreed(String model) throws IOException {
    FakeDevice device = FakeDevice.sound();
    useEverything(device, model);
    assertEquals(List.of(), device.live());
  }

  @Test
  void aForetoldStepIsEnqueuedBeforeTheOneBeforeItIsWaitedFor() throws IOException {
    FakeDevice device = FakeDevice.sound();
    // Of the graph's four rows one is idle.
    try (CudaEngine engine = engine(device, "llama3", OPTIONS.withSequences(5))) {
      Sequence[] sequences = new Sequence[3];
      for (int i = 0; i < sequences.length; i++) {
        sequences[i] = engine.open(SamplingParameters.GREEDY);
      }
      int[] tokens = {1, 2, 3};
      List<String> alone = List.of("cuMemcpyHtoDAsync", "cuGraphLaunch", "cuEventRecord");
      List<String> steady = List.of("cuGraphLaunch", "cuEventRecord");
      List<String> two = Stream.of(steady, steady).flatMap(List::stream).toList();
      int room = OPTIONS.contextLength();
      for (int i = 0; i < room; i++) {
        List<String> expected = i == 0 ? alone : i == 1 ? two : i < room - 1 ? steady : List.of();
        assertEquals(expected, callsOfStep(device, engine, sequences, tokens), "step " + i);
      }
      sequences[0].truncate(8);
      sequences[1].truncate(9);
      sequences[2].truncate(9);
      assertEquals(alone, callsOfStep(device, engine, sequences, tokens));
      assertEquals(two, callsOfStep(device, engine, sequences, tokens));
      tokens[2]++;
      assertEquals(alone, callsOfStep(device, engine, sequences, tokens));
      engine.append(sequences[1], new int[] {7});
      assertEquals(alone, callsOfStep(device, engine, sequences, tokens));
    }
  }

  /** What a step calls between the first call and the last, which are the same for all. */
  private static List<String> callsOfStep(
      FakeDevice device, Engine engine, Sequence[] sequences, int[] tokens) {
    int before = device.calls().size();
    engine.step(sequences, sequences.length, tokens);
    List<String> calls = device.calls().subList(before, device.calls().size());
    assertEquals("cuCtxSetCurrent", calls.getFirst());
    assertEquals("cuEventSynchronize", calls.getLast());
    return List.copyOf(calls.subList(1, calls.size() - 1));
  }

  @Test
  void aSequenceCannotBeInABatchTwice() throws IOException {
    FakeDevice device = FakeDevice.sound();
    try (CudaEngine engine = engine(device, "llama3", OPTIONS)) {
      Sequence one = engine.open(SamplingParameters.GREEDY);
      Sequence[] twice = {one, one};
      assertThrows(IllegalArgumentException.class, () -> engine.step(twice, 2, new int[] {1, 2}));
      engine.step(twice, 1, new int[] {1});
      assertEquals(1, one.length());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt", PACKED, MADE})
  void theFailureOfAnyCallIsThrownAndNothingLeaks(String model) throws IOException {
    FakeDevice sound = FakeDevice.sound();
    useEverything(sound, model);
    for (int i = 0; i < sound.calls().size(); i++) {
      FakeDevice device = FakeDevice.failing(i, FakeDevice.OUT_OF_MEMORY);
      String function = sound.calls().get(i);
      RuntimeException e =
          assertThrows(RuntimeException.class, () -> useEverything(device, model), function);
      assertTrue(e.getMessage().contains(function + " failed"), e::getMessage);
      assertEquals(List.of(), device.live(), "after call " + i + ", a failing " + function);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama3", "qwen3", "opt", PACKED, MADE})
  void afterALossTheDriverIsLeftAlone(String model) throws IOException {
    FakeDevice sound = FakeDevice.sound();
    useEverything(sound, model);
    for (int i = 0; i < sound.calls().size(); i++) {
      FakeDevice device = FakeDevice.failing(i, FakeDevice.ILLEGAL_ADDRESS);
      String function = sound.calls().get(i);
      assertThrows(RuntimeException.class, () -> useEverything(device, model), function);
      assertEquals(i + 1, device.calls().size(), "after call " + i + ", a failing " + function);
    }
  }

  @Test
  void tooLittleMemoryIsToldBeforeAnyIsTaken() {
    FakeDevice device = FakeDevice.sound();
    device.setFreeBytes(1 << 20);
    DeviceException refusal =
        assertThrows(DeviceException.class, () -> engine(device, "llama3", OPTIONS));
    assertTrue(
        refusal
            .getMessage()
            .matches(
                "device cuda:0: needs 0\\.25 GiB \\(.* 0\\.25 driver\\), 0\\.00 GiB are free;"
                    + " use a smaller --context, .* KV4"),
        refusal.getMessage());
    assertFalse(device.calls().contains("cuMemAlloc"), () -> device.calls().toString());
    assertEquals(List.of(), device.live());
  }

  @Test
  void whatTheDriverTakesMustBeFreeBesideThePlan() throws IOException {
    long planned;
    try (ModelWeights weights = ModelWeights.of(Checkpoint.open(folder.resolve(PACKED)))) {
      planned = MemoryPlan.ofCuda(weights, OPTIONS).totalBytes();
    }
    FakeDevice device = FakeDevice.sound();
    device.setFreeBytes(planned);
    assertThrows(DeviceException.class, () -> engine(device, PACKED, OPTIONS));
    FakeDevice larger = FakeDevice.sound();
    larger.setFreeBytes(planned + CudaFit.DRIVER_BYTES);
    engine(larger, PACKED, OPTIONS).close();
  }

  @Test
  void damageIsSeenOnTheWay() throws IOException {
    Path damaged = Files.createDirectory(folder.resolve("damaged"));
    for (String name : List.of("config.json", "model.safetensors")) {
      Files.copy(folder.resolve(PACKED).resolve(name), damaged.resolve(name));
    }
    Path file = damaged.resolve("model.safetensors");
    long end;
    try (Checkpoint checkpoint = Checkpoint.openUnread(damaged)) {
      long after = 0;
      for (String name : checkpoint.names().reversed()) {
        if (name.endsWith("q_proj.qweight")) {
          break;
        }
        after += checkpoint.info(name).orElseThrow().bytes();
      }
      end = Files.size(file) - after;
    }
    byte[] bytes = Files.readAllBytes(file);
    bytes[(int) end - 1] ^= 1;
    Files.write(file, bytes);
    FakeDevice device = FakeDevice.sound();
    try (ModelWeights weights = ModelWeights.of(Checkpoint.openUnread(damaged))) {
      KernelCatalog kernels = new KernelCatalog(device.open(), "sm_90a", _ -> new byte[] {1});
      UncheckedIOException refusal =
          assertThrows(
              UncheckedIOException.class,
              () ->
                  CudaEngine.create(
                      weights,
                      (gpu, stream, size) -> DeviceUpload.of(gpu, stream, size, weights.memory()),
                      OPTIONS,
                      kernels,
                      Device.cuda(0)));
      assertTrue(refusal.getMessage().contains("q_proj.qweight"), refusal.getMessage());
    }
    assertEquals(List.of(), device.live());
  }

  @Test
  void whatNoKernelIsForIsRefusedByName() throws IOException {
    QuantScheme scheme = QuantScheme.parse("W4A8g32H8");
    assertRefused(new SyntheticModel(scheme, 1), "q_proj.outlier_values: single outlier weights");
    assertRefused(
        SyntheticModel.ofLoudInputs(scheme, 1), "o_proj.outlier_threshold: outlier inputs found");
  }

  private static void assertRefused(SyntheticModel model, String why) throws IOException {
    Path refused = Files.createTempDirectory(folder, "refused");
    model.writePacked(refused);
    FakeDevice device = FakeDevice.sound();
    try (ModelWeights weights = ModelWeights.of(Checkpoint.open(refused))) {
      KernelCatalog kernels = new KernelCatalog(device.open(), "sm_90a", _ -> new byte[] {1});
      UnfitModelException refusal =
          assertThrows(
              UnfitModelException.class,
              () -> CudaEngine.create(weights, DeviceUpload::of, OPTIONS, kernels, Device.cuda(0)));
      assertTrue(refusal.getMessage().contains(why), refusal.getMessage());
    }
    assertFalse(device.calls().contains("cuMemAlloc"), () -> device.calls().toString());
    assertEquals(List.of(), device.live());
  }
}
