package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Tag("acceptance")
class ChatTemplateAcceptanceTest {
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2024-07-26T12:00:00Z"), ZoneOffset.UTC);

  @Test
  void rendersWhatJinja2Renders(@TempDir Path folder) throws IOException {
    Path fixtures =
        Path.of(System.getProperty("project.root"))
            .resolve(System.getProperty("fixtures"))
            .resolve("golden/chat-templates");
    ObjectMapper mapper = new ObjectMapper();
    JsonNode cases = mapper.readTree(fixtures.resolve("cases.json").toFile()).get("cases");
    assertEquals(72, cases.size());
    for (JsonNode vector : cases) {
      String source = Files.readString(fixtures.resolve(vector.get("template").textValue()));
      Files.writeString(folder.resolve("chat_template.jinja"), source);
      Map<String, String> tokens =
          Map.of(
              "bos_token", vector.get("bos_token").textValue(),
              "eos_token", vector.get("eos_token").textValue());
      mapper.writeValue(folder.resolve("tokenizer_config.json").toFile(), tokens);
      ChatTemplate template = ChatTemplate.open(folder, CLOCK).orElseThrow();
      List<ChatTemplate.Message> messages = new ArrayList<>();
      for (JsonNode message : vector.get("messages")) {
        messages.add(
            new ChatTemplate.Message(
                message.get("role").textValue(), message.get("content").textValue()));
      }
      String name = vector.get("template") + ": " + vector.get("name");
      if (vector.has("error")) {
        ModelFormatException e =
            assertThrows(ModelFormatException.class, () -> template.prompt(messages), name);
        assertTrue(e.getMessage().contains(vector.get("error").textValue()), e.getMessage());
      } else {
        String rendered =
            vector.get("add_generation_prompt").booleanValue()
                ? template.prompt(messages)
                : template.transcript(messages);
        assertEquals(vector.get("rendered").textValue(), rendered, name);
      }
    }
  }
}
