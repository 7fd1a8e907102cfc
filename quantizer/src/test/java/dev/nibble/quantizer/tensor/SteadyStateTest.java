package dev.nibble.quantizer.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelConfig.RopeConfig;
import dev.nibble.quantizer.format.PackedLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/**
 * Decoding allocates nothing once compiled. In a JVM with a young generation of 1 MiB: an object
 * only weakly reachable survives {@link #STEPS} steps unless they filled it, so 100 bytes a step
 * are seen.
 */
class SteadyStateTest {
  private static final int STEPS = 20_000;

  @Test
  void decodingAllocatesNothing() throws Exception {
    ChildJvm.Result result =
        ChildJvm.run(
            List.of("--add-modules=jdk.incubator.vector", "-XX:+UseSerialGC", "-Xmn1m"),
            SteadyStateTest.class);
    assertEquals("nothing allocated", result.out().strip(), result.err());
  }

  /** Decodes until a run of steps has allocated nothing, for a minute at most. */
  public static void main(String[] arguments) {
    try (TensorOperations operations = new VectorOperations(2);
        Arena arena = Arena.ofShared()) {
      Decoder decoder = new Decoder(operations, arena);
      long end = System.nanoTime() + Duration.ofMinutes(1).toNanos();
      while (System.nanoTime() < end) {
        WeakReference<Object> canary = new WeakReference<>(new Object());
        for (int i = 0; i < STEPS; i++) {
          decoder.step();
        }
        if (canary.get() != null) {
          System.out.println("nothing allocated");
          return;
        }
      }
      System.out.println("still allocating after a minute");
    }
  }

  /** Every operation of a decode step, at widths that leave tails. */
  private static final class Decoder {
    private static final int WIDTH = 135;
    private static final int HEAD_DIM = 48;
    private static final int HEADS = 4;

    private final Samples samples = new Samples();
    private final TensorOperations operations;
    private final float[] x = samples.floats(2 * WIDTH);
    private final float[] y = samples.floats(2 * WIDTH);
    private final float[] weight = samples.floats(WIDTH);
    private final float[] q = samples.floats(HEADS * HEAD_DIM);
    private final float[] out = new float[q.length];
    private final int[] positions = {7};
    private final RotaryEmbedding rope =
        new RotaryEmbedding(new RopeConfig(10_000, Optional.empty()), HEAD_DIM, 8);
    private final KvLayer[] caches = new KvLayer[5];
    private final QuantizedActivations codes = new QuantizedActivations(8, false, 1, WIDTH, 32);
    private final List<PreparedMatrix> packed = new ArrayList<>();
    private final List<PreparedMatrix> dense = new ArrayList<>();

    Decoder(TensorOperations operations, Arena arena) {
      this.operations = operations;
      int[] bits = {32, 16, 8, 4, 3};
      for (int i = 0; i < caches.length; i++) {
        caches[i] = new KvLayer(bits[i], 40, 2, HEAD_DIM);
      }
      for (int width : new int[] {2, 3, 4, 6, 8}) {
        PackedLayout layout = new PackedLayout(width, 7, WIDTH, 32);
        packed.add(operations.prepare(samples.packed(layout, false), arena));
      }
      for (DType dtype : List.of(DType.F32, DType.F16, DType.BF16)) {
        MemorySegment zeros = arena.allocate(7L * WIDTH * dtype.bytes());
        dense.add(operations.prepare(new WeightMatrix.Dense(dtype, 7, WIDTH, zeros), arena));
      }
    }

    void step() {
      operations.rmsNorm(x, 0, 1, weight, 1e-5f, y);
      operations.layerNorm(x, 0, 1, weight, weight, 1e-5f, y);
      operations.quantize(y, 0, 1, codes);
      for (int i = 0; i < packed.size(); i++) {
        operations.matmul(codes, packed.get(i), out, 0);
        operations.matmul(y, 0, 1, packed.get(i), out, 0);
      }
      for (int i = 0; i < dense.size(); i++) {
        operations.matmul(y, 0, 1, dense.get(i), out, 0);
      }
      operations.rope(q, 1, HEADS, rope, positions);
      operations.fakeQuantize(q, 0, HEADS, HEAD_DIM, 4);
      for (KvLayer cache : caches) {
        operations.append(cache, 33, q, q, 0, 1);
        operations.attention(q, 0, 1, HEADS, cache, 33, 20, out);
      }
      operations.swiGlu(y, x, WIDTH);
      operations.gelu(y, WIDTH);
      operations.relu(y, WIDTH);
      operations.add(y, x, WIDTH);
      operations.softmax(y, 0, 1, WIDTH);
    }
  }
}
