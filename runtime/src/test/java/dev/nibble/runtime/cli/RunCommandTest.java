package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunCommandTest {
  private static final String BOOKS = Invocation.BOOKS.toString();
  private static final String PROMPT = "Once upon a time there was a little girl who";

  @Test
  void jsonTellsWhatTheStreamShows() throws IOException {
    Invocation streamed = Invocation.of("run", "-m", BOOKS, "-n", "6", PROMPT);
    Invocation told =
        new Invocation.Setting().input(PROMPT).run("run", "-m", BOOKS, "-n", "6", "--json");
    assertEquals(0, streamed.code(), streamed.err());
    assertEquals(0, told.code(), told.err());
    JsonNode json = new ObjectMapper().readTree(told.out());
    assertEquals(streamed.out(), json.get("text").textValue() + "\n");
    List<String> names = new ArrayList<>();
    json.fieldNames().forEachRemaining(names::add);
    assertEquals(
        List.of(
            "text",
            "tokens",
            "prompt_tokens",
            "completion_tokens",
            "finish_reason",
            "prefill_ms",
            "decode_ms",
            "decode_tokens_per_second",
            "device",
            "scheme"),
        names);
    assertEquals(6, json.get("completion_tokens").intValue());
    assertEquals(6, json.get("tokens").size());
    assertEquals(11, json.get("prompt_tokens").intValue());
    assertEquals("length", json.get("finish_reason").textValue());
    assertEquals("cpu", json.get("device").textValue());
    assertEquals("W16A16", json.get("scheme").textValue());
  }

  @Test
  void stopStringEndsTheText() {
    Invocation whole = Invocation.of("run", "-m", BOOKS, "-n", "8", PROMPT);
    String stop = whole.out().strip().split(" ", -1)[2];
    Invocation cut = Invocation.of("run", "-m", BOOKS, "-n", "8", "--stop", stop, PROMPT);
    assertEquals(whole.out().substring(0, whole.out().indexOf(stop)), cut.out().replace("\n", ""));
  }

  @Test
  void closedOutputEndsQuietly() {
    OutputStream closed =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("Broken pipe");
          }
        };
    Invocation result = new Invocation.Setting().run(closed, "run", "-m", BOOKS, "-n", "4", PROMPT);
    assertEquals(ExitCode.CLOSED_OUTPUT.number(), result.code());
    assertEquals("", result.err());
  }

  @Test
  void fullDiskIsNotQuiet() {
    OutputStream full =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("No space left on device");
          }
        };
    Invocation result = new Invocation.Setting().run(full, "tokenize", "-m", BOOKS, PROMPT);
    assertEquals(ExitCode.IO.number(), result.code());
    assertEquals("nibble tokenize: standard output: No space left on device\n", result.err());
  }

  @Test
  void defaultModelIsPackedOnce(@TempDir Path cache) throws IOException {
    Invocation.Setting setting = new Invocation.Setting().withDefaultModel(cache);
    Invocation first = setting.run("run", "-n", "2", "--json", PROMPT);
    Invocation second = setting.run("run", "-n", "2", "--json", PROMPT);
    assertEquals(0, first.code(), first.err());
    assertEquals("", second.err(), "the second run has nothing to say");
    ObjectMapper json = new ObjectMapper();
    assertEquals("W4A16g128", json.readTree(first.out()).get("scheme").textValue());
    assertEquals(
        json.readTree(first.out()).get("tokens"), json.readTree(second.out()).get("tokens"));
    try (Stream<Path> made = Files.list(cache.resolve("nibble"))) {
      List<Path> folders = made.filter(Files::isDirectory).toList();
      assertEquals(1, folders.size());
      assertTrue(
          folders.getFirst().getFileName().toString().matches("[0-9a-f]{8}-W4A16g128-v1"),
          folders.toString());
    }
  }

  @Test
  void damagedCopyOfTheDefaultModelIsMadeAgain(@TempDir Path cache) throws IOException {
    Invocation.Setting setting = new Invocation.Setting().withDefaultModel(cache);
    assertEquals(0, setting.run("inspect").code());
    Path packed;
    try (Stream<Path> made = Files.list(cache.resolve("nibble"))) {
      packed = made.filter(Files::isDirectory).findFirst().orElseThrow();
    }
    Path tensors = packed.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(tensors);
    bytes[bytes.length / 2] ^= 1;
    Files.write(tensors, bytes);
    Invocation again = setting.run("inspect");
    assertEquals(0, again.code(), again.err());
    assertTrue(again.err().contains("making it again"), again.err());
    assertEquals("", setting.run("inspect").err());
  }

  @Test
  void withoutACacheTheDefaultModelRunsAsItIs(@TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("cache"), "not a folder");
    Invocation result =
        new Invocation.Setting().withDefaultModel(file).run("run", "-n", "1", "--json", PROMPT);
    assertEquals(0, result.code(), result.err());
    assertTrue(result.err().contains("running books-8m unquantized"), result.err());
    assertTrue(result.out().contains("\"scheme\":\"W16A16\""), result.out());
  }
}
