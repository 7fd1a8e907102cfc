package dev.nibble.runtime.engine;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.method.MethodCatalog;
import dev.nibble.quantizer.method.MethodCatalog.Options;
import dev.nibble.runtime.CalibratedModel;
import dev.nibble.runtime.TestModels;
import dev.nibble.runtime.model.ModelOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** RPTQ's reorder, written by the quantizer and executed by the engine. */
class ReorderedModelTest {
  private static final long SEED = Long.getLong("tests.seed", 20_261_122L);
  private static final int CONTEXT = 64;

  private static final double LIMIT = 1e-5;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"books-8m", "llama3", "qwen3", "opt"})
  void reorderPreservesTheFunction(String name) throws IOException {
    Path source = source(name);
    Path reordered = reorder(source, "W16A16", block -> block);
    double difference = difference(source, reordered);
    assertTrue(difference < LIMIT, name + ": " + difference);
  }

  @Test
  void withoutItsOrdersTheModelIsAnother() throws IOException {
    Path source = source("books-8m");
    for (String order : new String[] {"self_attn.rope_order", "input_layernorm.channel_order"}) {
      Path reordered = reorder(source, "W16A16", block -> without(order, block));
      assertTrue(difference(source, reordered) > 1e-2, order);
    }
  }

  /** In float32, as an fp16 cache rounds what reordered sums put on the other side of an edge. */
  private Path source(String name) throws IOException {
    return name.equals("books-8m")
        ? TestModels.books8mInSingle(folder)
        : TestModels.quantizable(name, folder);
  }

  private Path reorder(Path source, String scheme, UnaryOperator<QuantizedBlock> change)
      throws IOException {
    Path destination = Files.createTempDirectory(folder, "made").resolve("packed");
    rptq(change).quantize(source, destination, scheme, 2, 48);
    return destination;
  }

  private static CalibratedModel rptq(UnaryOperator<QuantizedBlock> change) {
    return new CalibratedModel(MethodCatalog.create("rptq", Options.DEFAULT), change);
  }

  private static QuantizedBlock without(String tensor, QuantizedBlock block) {
    return new QuantizedBlock(
        block.linears(),
        block.tensors().stream().filter(t -> !t.name().endsWith(tensor)).toList(),
        block.errors(),
        block.effective(),
        block.precision());
  }

  private static double difference(Path one, Path other) throws IOException {
    float[] a = logits(one);
    float[] b = logits(other);
    double error = 0;
    double squares = 0;
    for (int i = 0; i < a.length; i++) {
      error += Math.pow(a[i] - b[i], 2);
      squares += (double) a[i] * a[i];
    }
    return Math.sqrt(error / squares);
  }

  private static float[] logits(Path model) throws IOException {
    try (Engine engine = TestModels.cpu(model, ModelOptions.DEFAULT)) {
      return TestModels.logits(
          engine, new Random(SEED).ints(CONTEXT, 0, engine.vocabSize()).toArray());
    }
  }
}
