package dev.nibble.runtime.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatCommandTest {
  private static final String TEMPLATE =
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:";

  /** The default model with a template. */
  private static Path chatModel(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(Invocation.BOOKS)) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Files.writeString(folder.resolve("chat_template.jinja"), TEMPLATE);
    return folder;
  }

  @Test
  void everyTurnSeesTheOnesBefore(@TempDir Path folder) throws IOException {
    String model = chatModel(folder).toString();
    Invocation talk =
        new Invocation.Setting()
            .input("Who are you?\n\nWhere is the cat?\n")
            .run("chat", "-m", model, "-n", "4", "--system", "A story.", "--json");
    assertEquals(0, talk.code(), talk.err());
    JsonNode messages = new ObjectMapper().readTree(talk.out()).get("messages");
    assertEquals(
        List.of("system", "user", "assistant", "user", "assistant"),
        messages.findValuesAsText("role"));
    List<String> contents = messages.findValuesAsText("content");
    String prompt =
        "system: A story.\nuser: Who are you?\nassistant: %s\nuser: Where is the cat?\nassistant:"
            .formatted(contents.get(2));
    Invocation same = Invocation.of("run", "-m", model, "-n", "4", prompt);
    assertEquals(same.out().strip(), contents.get(4).strip());
  }

  @Test
  void answersAreStreamedLineByLine(@TempDir Path folder) throws IOException {
    String model = chatModel(folder).toString();
    Invocation talk =
        new Invocation.Setting()
            .input("One.\nTwo.\n")
            .onTerminal()
            .run("chat", "-m", model, "-n", "3", "--stop", "\n");
    assertEquals(0, talk.code(), talk.err());
    assertEquals(2, talk.out().lines().count(), talk.out());
    assertEquals("> > > ", talk.err());
  }

  @Test
  void modelsWithoutATemplateAreForRun() {
    Invocation result = Invocation.of("chat", "-m", Invocation.BOOKS.toString());
    assertEquals(ExitCode.BAD_INPUT.number(), result.code());
    assertTrue(result.err().contains("use 'nibble run'"), result.err());
  }

  @Test
  void absentGpusAreTold(@TempDir Path folder) throws IOException {
    Invocation result =
        Invocation.of("chat", "-m", chatModel(folder).toString(), "--device", "cuda:77");
    assertEquals(ExitCode.UNAVAILABLE.number(), result.code());
    assertTrue(result.err().contains("cuda:77"), result.err());
  }

  @Test
  void brokenTemplatesAreNamed(@TempDir Path folder) throws IOException {
    Path model = chatModel(folder);
    Files.writeString(folder.resolve("chat_template.jinja"), "{% for %}");
    Invocation result = Invocation.of("chat", "-m", model.toString());
    assertEquals(ExitCode.BAD_INPUT.number(), result.code());
    assertTrue(result.err().contains("chat_template.jinja"), result.err());
  }
}
