package dev.nibble.runtime.generate.jinja;

import com.hubspot.jinjava.interpret.JinjavaInterpreter;
import com.hubspot.jinjava.lib.tag.FlexibleTag;
import com.hubspot.jinjava.lib.tag.Tag;
import com.hubspot.jinjava.tree.TagNode;
import com.hubspot.jinjava.tree.parse.TagToken;
import org.jspecify.annotations.Nullable;

/** Tells jinjava the names of a tag and of its end; {@link TemplateCompiler} gives it its sense. */
final class BlockTag implements Tag, FlexibleTag {
  private static final long serialVersionUID = 1L;

  private final String name;
  private final boolean hasBody;

  BlockTag(String name, boolean hasBody) {
    this.name = name;
    this.hasBody = hasBody;
  }

  @Override
  public String getName() {
    return name;
  }

  @Override
  public @Nullable String getEndTagName() {
    return hasBody ? "end" + name : null;
  }

  /** {@code set} has a body unless it has a value. */
  @Override
  public boolean hasEndTag(TagToken token) {
    return hasBody && !(name.equals("set") && TemplateCompiler.isAssignment(token.getHelpers()));
  }

  @Override
  public String interpret(TagNode node, JinjavaInterpreter interpreter) {
    throw new UnsupportedOperationException(name + " is not rendered by jinjava");
  }
}
