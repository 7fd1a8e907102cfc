package dev.nibble.runtime.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateTest {
  private static final List<ChatTemplate.Message> TALK =
      List.of(
          new ChatTemplate.Message("user", "Hi {{ x }} <s>"),
          new ChatTemplate.Message("assistant", "Yes\n"));

  @TempDir private Path folder;

  private ChatTemplate open() throws IOException {
    return ChatTemplate.open(folder).orElseThrow();
  }

  private void config(String json) throws IOException {
    Files.writeString(folder.resolve("tokenizer_config.json"), json);
  }

  @Test
  void aModelMayHaveNone() throws IOException {
    assertEquals(Optional.empty(), ChatTemplate.open(folder));
    config("{\"bos_token\": \"<s>\", \"chat_template\": null}");
    assertEquals(Optional.empty(), ChatTemplate.open(folder));
  }

  @Test
  void rendersMessagesWithControlTokens() throws IOException {
    config(
        """
        {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null,
         "chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] \
        | trim }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}\
        {{ tools is none }}{{ pad_token is defined }}"}\
        """);
    String talk = "<s>[user]Hi {{ x }} <s></s>[assistant]Yes</s>";
    assertEquals(talk + "[assistant]TrueFalse", open().prompt(TALK));
    assertEquals(talk + "TrueFalse", open().transcript(TALK));
  }

  @Test
  void aFileOfItsOwnComesBeforeTheConfig() throws IOException {
    config("{\"chat_template\": \"config\"}");
    assertEquals("config", open().prompt(TALK));
    Files.writeString(folder.resolve("chat_template.jinja"), "own\n");
    assertEquals("own", open().prompt(TALK));
    Files.write(folder.resolve("chat_template.jinja"), new byte[] {(byte) 0xFF});
    assertThrows(ModelFormatException.class, this::open);
    Files.delete(folder.resolve("chat_template.jinja"));
    Files.createDirectory(folder.resolve("chat_template.jinja"));
    assertThrows(ModelFormatException.class, this::open);
  }

  @Test
  void ofSeveralTheDefaultCounts() throws IOException {
    config(
        """
        {"chat_template": [{"name": "tool_use", "template": "tools"},
                           {"name": "default", "template": "plain"}]}\
        """);
    assertEquals("plain", open().prompt(TALK));
    config(
        """
        {"chat_template": [{"name": "rag", "template": "rag"},
                           {"name": "tool_use", "template": "tools"}]}\
        """);
    assertThrows(ModelFormatException.class, this::open);
    config("{\"chat_template\": 1}");
    assertThrows(ModelFormatException.class, this::open);
  }

  @Test
  void saysWhatTheTemplateSays() throws IOException {
    config("{\"chat_template\": \"{{ raise_exception('roles must\\nalternate') }}\"}");
    ModelFormatException e = assertThrows(ModelFormatException.class, () -> open().prompt(TALK));
    assertTrue(e.getMessage().contains("roles must alternate"), e.getMessage());
    assertTrue(e.getMessage().contains("tokenizer_config.json"), e.getMessage());
    config("{\"chat_template\": \"{% if %}\"}");
    assertThrows(ModelFormatException.class, this::open);
  }
}
