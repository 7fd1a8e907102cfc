package dev.nibble.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.nibble.quantizer.tensor.FloatMatrix;
import dev.nibble.quantizer.tensor.ScalarOperations;
import dev.nibble.quantizer.tensor.TensorOperations;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A benchmark that computes something else measures nothing. */
class BenchmarksTest {
  private static final String PROVIDER = "nibble.ops";

  @Test
  void vectorsAreMeasured() {
    try (TensorOperations operations = TensorOperations.best(1)) {
      assertTrue(operations.name().startsWith("vector"), operations.name());
    }
  }

  @ParameterizedTest
  @CsvSource({"2, vector", "3, vector", "4, vector", "8, vector", "4, scalar"})
  void gemvGivesTheProduct(int bits, String operations) {
    Gemv benchmark = new Gemv();
    benchmark.bits = bits;
    benchmark.shape = "384x256";
    benchmark.operations = operations;
    benchmark.open();
    try (TensorOperations scalar = new ScalarOperations();
        Arena arena = Arena.ofConfined()) {
      float[] expected = new float[384];
      scalar.matmul(benchmark.x(), 0, 1, scalar.prepare(benchmark.weights(), arena), expected, 0);
      float[] actual = benchmark.multiply();
      double largest = 0;
      for (float value : expected) {
        largest = Math.max(largest, Math.abs(value));
      }
      // Sums of 256 floats in another order.
      assertArrayEquals(expected, actual, (float) (1e-5 * largest));
    } finally {
      benchmark.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"forward", "inputs", "weights"})
  void gemmGivesTheProduct(String product) {
    Gemm benchmark = new Gemm();
    benchmark.product = product;
    benchmark.linear = "70x90";
    benchmark.tokens = 50;
    benchmark.open();
    try {
      Gemm.Operations operations = new Gemm.Operations();
      float[] found = benchmark.nibble(operations);
      FloatMatrix a = benchmark.left();
      FloatMatrix b = benchmark.right();
      for (int r = 0; r < a.rows(); r++) {
        for (int c = 0; c < b.columns(); c++) {
          double sum = 0;
          for (int k = 0; k < a.columns(); k++) {
            sum +=
                (double) a.data()[r * a.rowStride() + k * a.columnStride()]
                    * b.data()[k * b.rowStride() + c * b.columnStride()];
          }
          assertEquals(sum, found[r * b.columns() + c], 1e-4);
        }
      }
      assertEquals(2.0 * 50 * 70 * 90, operations.flops);
    } finally {
      benchmark.close();
    }
  }

  @ParameterizedTest
  @CsvSource({"W4A16g128, 1", "W4A16g128, 4", "W4A8KV4, 2"})
  void decodeStepsChooseTheTokensOfTheScalarOperations(String scheme, int batch) {
    int[] vector = tokens(scheme, batch);
    System.setProperty(PROVIDER, "scalar");
    try {
      assertArrayEquals(tokens(scheme, batch), vector);
    } finally {
      System.clearProperty(PROVIDER);
    }
    assertEquals(batch * 4, vector.length);
  }

  @Test
  void foreignCallsReachTheLibrary() throws Throwable {
    ForeignCalls benchmark = new ForeignCalls();
    benchmark.open();
    try {
      assertEquals(42, benchmark.none());
      assertEquals(42, benchmark.plain());
      assertEquals(42, benchmark.critical());
      assertEquals(0, benchmark.struct());
      assertEquals(1, benchmark.resolutionNanos());
      benchmark.clear();
      assertEquals(0, benchmark.structCritical());
      assertEquals(1, benchmark.resolutionNanos());
    } finally {
      benchmark.close();
    }
  }

  @Test
  void readsSumAllWords() {
    MemoryReads benchmark = new MemoryReads();
    benchmark.open();
    assertEquals(LongStream.of(benchmark.data()).sum(), benchmark.sum());
    assertEquals(MemoryReads.BYTES, (long) Long.BYTES * benchmark.data().length);
  }

  @Test
  void tokenizerGivesTheTextBack() throws IOException {
    TokenizerSpeed benchmark = new TokenizerSpeed();
    benchmark.open();
    assertTrue(benchmark.encode().length > 1000);
    assertEquals(benchmark.text(), benchmark.decode());
  }

  @Test
  void loadedModelsChooseTheReferencesToken() throws IOException {
    JsonNode prompt =
        new JsonMapper()
            .readTree(SourceTree.file("runtime/src/test/resources/golden/books-8m.json").toFile())
            .path("prompts")
            .path(0);
    int[] ids =
        StreamSupport.stream(prompt.path("ids").spliterator(), false)
            .mapToInt(JsonNode::asInt)
            .toArray();
    assertEquals(prompt.path("last_top_ids").path(0).asInt(), ModelLoading.firstToken(ids));
    assertTrue(new ModelLoading().load() > 1 << 20);
  }

  @Test
  void sessionsAreSmallAndHoldNoBoxes() throws IOException {
    Map<String, Long> sizes = new HashMap<>();
    HotObjects.measure().forEach(size -> sizes.merge(size.name(), size.value(), Long::sum));
    long cache = 256 * sizes.get("cache.token");
    assertEquals(8 * 2 * 2 * 64 * 4, sizes.get("cache.token"));
    // The engine has taken the cache before a session opens, which adds its own state.
    assertTrue(sizes.get("engine.heap") > cache, sizes.toString());
    long session = sizes.get("session.heap");
    assertTrue(session > 0 && session < 64 << 10, sizes.toString());
    assertEquals(0, sizes.get("session.boxes"));
  }

  private static int[] tokens(String scheme, int batch) {
    DecodeStep benchmark = new DecodeStep();
    benchmark.scheme = scheme;
    benchmark.batch = batch;
    benchmark.open();
    try {
      return IntStream.range(0, 4).flatMap(i -> IntStream.of(benchmark.step().clone())).toArray();
    } finally {
      benchmark.close();
    }
  }
}
