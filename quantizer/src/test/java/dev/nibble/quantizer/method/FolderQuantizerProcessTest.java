package dev.nibble.quantizer.method;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.ProcessBuilder.Redirect;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Processes that are killed, race each other, run out of disk, or have little memory. */
@Timeout(300)
class FolderQuantizerProcessTest {
  private static final String SCHEME = "W4A16g128";
  private static final int KILLS = 4;

  @TempDir Path folder;
  @TempDir Path logs;

  private static Path books() {
    return Path.of(System.getProperty("project.root"), "runtime/models/books-8m");
  }

  @Test
  void aKilledRunLeavesNothingOrAWholeFolder() throws Exception {
    Path reference = folder.resolve("reference");
    long start = System.nanoTime();
    assertEquals(QuantizeProcess.DONE, end(start(reference, Existing.KEEP)));
    long wholeNanos = System.nanoTime() - start;
    Map<String, byte[]> expected = FolderQuantizerTest.files(reference);

    long seed = Long.getLong("tests.seed", System.nanoTime());
    Random random = new Random(seed);
    Path packed = folder.resolve("packed");
    for (int kill = 0; kill < KILLS; kill++) {
      Process process = start(packed, Existing.REPLACE);
      process.waitFor(wholeNanos / 4 + random.nextLong(wholeNanos * 3 / 4), TimeUnit.NANOSECONDS);
      process.destroyForcibly().waitFor();
      if (Files.exists(packed)) {
        Checkpoint.open(packed).close();
        FolderQuantizerTest.assertSame(expected, FolderQuantizerTest.files(packed));
      }
      Set<String> known =
          Set.of("reference", "packed", "packed.partial", "packed.lock", "packed.replaced");
      assertTrue(known.containsAll(entries()), () -> entries() + ", -Dtests.seed=" + seed);
    }
    assertEquals(QuantizeProcess.DONE, end(start(packed, Existing.REPLACE)));
    FolderQuantizerTest.assertSame(expected, FolderQuantizerTest.files(packed));
    assertEquals(Set.of("reference", "packed"), entries());
  }

  @Test
  void twoRunsAtOnceMakeOneFolder() throws Exception {
    Path packed = folder.resolve("packed");
    List<Process> both = List.of(start(packed, Existing.KEEP), start(packed, Existing.KEEP));
    List<Integer> codes = List.of(end(both.get(0)), end(both.get(1)));
    assertTrue(codes.contains(QuantizeProcess.DONE), codes.toString());
    assertTrue(
        codes.contains(QuantizeProcess.BUSY) || codes.contains(QuantizeProcess.EXISTS),
        codes.toString());
    Checkpoint.open(packed).close();
    assertEquals(Set.of("packed"), entries());
  }

  @Test
  void anotherProcessIsToldToWait() throws Exception {
    Path packed = folder.resolve("packed");
    try (DestinationFolder first = DestinationFolder.open(packed, Existing.KEEP)) {
      assertEquals(QuantizeProcess.BUSY, end(start(packed, Existing.KEEP)));
      assertTrue(Files.exists(first.partial()));
    }
  }

  @Test
  void aFullDiskLeavesSourceAndDestinationAsTheyWere() throws Exception {
    Path packed = folder.resolve("packed");
    Path source = FolderQuantizerTest.copy(books(), folder.resolve("source"));
    Map<String, byte[]> before = FolderQuantizerTest.files(source);
    List<String> command = QuantizeProcess.command("256m", source, packed, SCHEME, Existing.KEEP);
    String limited = "ulimit -f 2000; exec \"$@\"";
    List<String> shell = new ArrayList<>(List.of("sh", "-c", limited, "sh"));
    shell.addAll(command);
    Process process = new ProcessBuilder(shell).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8);
    assertEquals(QuantizeProcess.IO_ERROR, process.waitFor(), output);
    assertTrue(output.contains("packed.partial"), output);
    assertEquals(Set.of("source"), entries());
    FolderQuantizerTest.assertSame(before, FolderQuantizerTest.files(source));
  }

  @Test
  void aBlockOf7bShapeNeedsLittleHeap() throws Exception {
    quantizeSparse(1, 512);
  }

  @Tag("acceptance")
  @Test
  void aModelOf7bShapeNeedsLittleHeap() throws Exception {
    quantizeSparse(4, 32_000);
  }

  /** Zeros in the shape of LLaMA 7B, one sparse shard a layer, in a heap of 256 MB. */
  private void quantizeSparse(int layers, int vocab) throws Exception {
    Path source = Files.createDirectory(folder.resolve("source"));
    writeSparse(source, layers, vocab);
    Path packed = folder.resolve("packed");
    Process process = start(source, packed, Existing.KEEP);
    assertEquals(QuantizeProcess.DONE, end(process));
    try (Checkpoint checkpoint = Checkpoint.open(packed)) {
      assertEquals(layers, checkpoint.config().layers());
      assertTrue(checkpoint.find("model.layers.0.mlp.down_proj.qweight").isPresent());
      assertFalse(checkpoint.find("model.layers.0.mlp.down_proj.weight").isPresent());
    }
  }

  private static void writeSparse(Path source, int layers, int vocab) throws IOException {
    int hidden = 4096;
    int intermediate = 11_008;
    Files.writeString(
        source.resolve("config.json"),
        """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
         "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": 32,
         "num_key_value_heads": 32, "vocab_size": %d, "max_position_embeddings": 4096,
         "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
         "torch_dtype": "float16"}
        """
            .formatted(hidden, intermediate, layers, vocab));
    StringJoiner index = new StringJoiner(", ", "{\"weight_map\": {", "}}");
    for (int file = 0; file <= layers; file++) {
      String block = "model.layers." + file + ".";
      Map<String, long[]> tensors =
          file == layers
              ? Map.of(
                  "model.embed_tokens.weight", new long[] {vocab, hidden},
                  "lm_head.weight", new long[] {vocab, hidden},
                  "model.norm.weight", new long[] {hidden})
              : Map.of(
                  block + "self_attn.q_proj.weight", new long[] {hidden, hidden},
                  block + "self_attn.k_proj.weight", new long[] {hidden, hidden},
                  block + "self_attn.v_proj.weight", new long[] {hidden, hidden},
                  block + "self_attn.o_proj.weight", new long[] {hidden, hidden},
                  block + "mlp.gate_proj.weight", new long[] {intermediate, hidden},
                  block + "mlp.up_proj.weight", new long[] {intermediate, hidden},
                  block + "mlp.down_proj.weight", new long[] {hidden, intermediate},
                  block + "input_layernorm.weight", new long[] {hidden},
                  block + "post_attention_layernorm.weight", new long[] {hidden});
      String name = "model-" + file + ".safetensors";
      StringJoiner header = new StringJoiner(", ", "{", "}");
      long end = 0;
      for (Map.Entry<String, long[]> tensor : tensors.entrySet()) {
        long begin = end;
        long[] shape = tensor.getValue();
        end += 2 * Arrays.stream(shape).reduce(1, (a, b) -> a * b);
        header.add(
            "\"%s\": {\"dtype\": \"F16\", \"shape\": %s, \"data_offsets\": [%d, %d]}"
                .formatted(tensor.getKey(), Arrays.toString(shape), begin, end));
        index.add("\"%s\": \"%s\"".formatted(tensor.getKey(), name));
      }
      byte[] text = header.toString().getBytes(UTF_8);
      try (RandomAccessFile sparse = new RandomAccessFile(source.resolve(name).toFile(), "rw")) {
        ByteBuffer size = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        sparse.write(size.putLong(text.length).array());
        sparse.write(text);
        sparse.setLength(8 + text.length + end);
      }
    }
    Files.writeString(source.resolve("model.safetensors.index.json"), index.toString());
  }

  private Process start(Path destination, Existing existing) throws IOException {
    return start(books(), destination, existing);
  }

  private Process start(Path source, Path destination, Existing existing) throws IOException {
    return new ProcessBuilder(
            QuantizeProcess.command("256m", source, destination, SCHEME, existing))
        .redirectErrorStream(true)
        .redirectOutput(Redirect.appendTo(logs.resolve("log").toFile()))
        .start();
  }

  private int end(Process process) throws InterruptedException, IOException {
    int code = process.waitFor();
    assertTrue(
        Set.of(
                QuantizeProcess.DONE,
                QuantizeProcess.EXISTS,
                QuantizeProcess.IO_ERROR,
                QuantizeProcess.BUSY)
            .contains(code),
        Files.readString(logs.resolve("log")));
    return code;
  }

  private Set<String> entries() {
    Set<String> names = new TreeSet<>();
    for (String name : Objects.requireNonNull(folder.toFile().list())) {
      names.add(name);
    }
    return names;
  }
}
