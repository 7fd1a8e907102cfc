package dev.nibble.runtime.generate.jinja;

import org.jspecify.annotations.Nullable;

/**
 * A variable, attribute or item that is not there: an empty text that most operations refuse.
 *
 * @param problem what to say when it is used
 */
record Undefined(String problem) {
  static Undefined variable(String name) {
    return new Undefined("'" + name + "' is undefined");
  }

  static Undefined attribute(@Nullable Object owner, String name) {
    return new Undefined("'" + Values.typeName(owner) + " object' has no attribute '" + name + "'");
  }

  TemplateException use() {
    return new TemplateException(problem);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Undefined;
  }

  @Override
  public int hashCode() {
    return 0;
  }
}
