package dev.nibble.runtime.generate.jinja;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** An object whose attributes a template may set. */
record Namespace(Map<String, @Nullable Object> attributes) {}
