package dev.nibble.runtime.generate.jinja;

import com.hubspot.jinjava.interpret.InterpretException;

/** A template that is wrong, that goes beyond its limits, or that refuses what it was given. */
public final class TemplateException extends InterpretException {
  private static final long serialVersionUID = 1L;

  TemplateException(String message) {
    super(message);
  }
}
