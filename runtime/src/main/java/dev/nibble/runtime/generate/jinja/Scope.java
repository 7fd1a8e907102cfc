package dev.nibble.runtime.generate.jinja;

import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Variables, within those of an outer scope. */
final class Scope {
  private final @Nullable Scope outer;
  private final Budget budget;
  private final Map<String, @Nullable Object> variables = new HashMap<>();

  private Scope(@Nullable Scope outer, Budget budget) {
    this.outer = outer;
    this.budget = budget;
  }

  static Scope root(Budget budget) {
    return new Scope(null, budget);
  }

  Scope inner() {
    return new Scope(this, budget);
  }

  Budget budget() {
    return budget;
  }

  void set(String name, @Nullable Object value) {
    variables.put(name, value);
  }

  @Nullable Object get(String name) {
    for (Scope scope = this; scope != null; scope = scope.outer) {
      if (scope.variables.containsKey(name)) {
        return scope.variables.get(name);
      }
    }
    return Undefined.variable(name);
  }
}
