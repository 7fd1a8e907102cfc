package dev.nibble.runtime.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.ModelFormatException;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorSource;
import dev.nibble.runtime.TestModels;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WeightReaderTest {
  private static final String NORM = "model.layers.1.input_layernorm.weight";
  private static final String QUERY = "model.layers.0.self_attn.q_proj.weight";

  private Checkpoint checkpoint;
  private Edited source;

  @BeforeEach
  void open() throws IOException {
    checkpoint = Checkpoint.open(TestModels.resource("tiny/llama3"));
    source = new Edited(checkpoint);
  }

  @AfterEach
  void close() {
    checkpoint.close();
  }

  @Test
  void takesEveryTensor() throws IOException {
    source.put("model.layers.0.self_attn.rotary_emb.inv_freq", DType.F32, new byte[4], 1L);
    ModelWeights weights = read();
    assertEquals(checkpoint.config().layers(), weights.blocks().size());
    long bytes = 0;
    for (String name : checkpoint.names()) {
      bytes += checkpoint.find(name).orElseThrow().data().byteSize();
    }
    assertEquals(bytes, weights.bytes());
  }

  @Test
  void everyMissingTensorIsNamed() {
    for (String name : new ArrayList<>(checkpoint.names())) {
      source = new Edited(checkpoint);
      source.tensors.remove(name);
      assertRefused(name);
    }
  }

  @Test
  void anUnknownTensorIsNamed() {
    source.put("model.layers.0.self_attn.sinks", DType.F32, new byte[4], 1L);
    assertRefused("model.layers.0.self_attn.sinks");
  }

  @Test
  void packedTensorsOfAnUnquantizedModelAreUnknown() {
    source.put("model.layers.0.input_layernorm.channel_order", DType.U16, new byte[4], 2L);
    assertRefused("model.layers.0.input_layernorm.channel_order");
  }

  @Test
  void aBiasThatTheConfigDoesNotSayIsNamed() {
    String bias = "model.layers.0.self_attn.q_proj.bias";
    long rows = checkpoint.find(QUERY).orElseThrow().shape().getFirst();
    source.put(bias, DType.F32, new byte[(int) (4 * rows)], rows);
    assertRefused(bias);
  }

  @Test
  void aWrongShapeIsNamedWithBoth() {
    Tensor query = checkpoint.find(QUERY).orElseThrow();
    List<Long> turned = query.shape().reversed();
    source.tensors.put(QUERY, new Tensor(QUERY, query.dtype(), List.of(1L, 2L, 3L), query.data()));
    String message = assertRefused(QUERY);
    assertTrue(message.contains("[1, 2, 3]") && message.contains("" + turned.reversed()), message);
  }

  @Test
  void aWrongTypeIsNamed() {
    Tensor norm = checkpoint.find(NORM).orElseThrow();
    long elements = norm.shape().getFirst();
    source.put(NORM, DType.I32, new byte[(int) (4 * elements)], elements);
    assertTrue(assertRefused(NORM).contains("I32"));
  }

  @Test
  void aNormThatIsNoNumberIsNamed() {
    long elements = checkpoint.find(NORM).orElseThrow().shape().getFirst();
    MemorySegment data = source.put(NORM, DType.F32, new byte[(int) (4 * elements)], elements);
    data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * (elements - 1), Float.NaN);
    assertTrue(assertRefused(NORM).contains("NaN at index " + (elements - 1)));
  }

  private String assertRefused(String tensor) {
    ModelFormatException refusal = assertThrows(ModelFormatException.class, this::read);
    assertTrue(refusal.getMessage().contains(tensor), refusal.getMessage());
    assertEquals(1, refusal.getMessage().lines().count());
    return refusal.getMessage();
  }

  private ModelWeights read() throws IOException {
    return WeightReader.read(source, checkpoint.config(), () -> {});
  }

  /** A checkpoint with some tensors changed. */
  private static final class Edited implements TensorSource {
    final Map<String, Tensor> tensors = new LinkedHashMap<>();

    Edited(Checkpoint checkpoint) {
      for (String name : checkpoint.names()) {
        tensors.put(name, checkpoint.find(name).orElseThrow());
      }
    }

    MemorySegment put(String name, DType dtype, byte[] bytes, long... shape) {
      MemorySegment data = MemorySegment.ofArray(bytes);
      tensors.put(name, new Tensor(name, dtype, Arrays.stream(shape).boxed().toList(), data));
      return data;
    }

    @Override
    public SequencedSet<String> names() {
      return new TreeSet<>(tensors.keySet());
    }

    @Override
    public Optional<Tensor> find(String name) {
      return Optional.ofNullable(tensors.get(name));
    }
  }
}
