package dev.nibble.runtime.generate.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Arguments that are still to be evaluated. */
record CallArguments(List<Expression> positional, Map<String, Expression> named) {
  static final CallArguments NONE = new CallArguments(List.of(), Map.of());

  Arguments evaluate(Scope scope) {
    List<@Nullable Object> values = new ArrayList<>();
    for (Expression expression : positional) {
      values.add(expression.evaluate(scope));
    }
    Map<String, @Nullable Object> namedValues = new LinkedHashMap<>();
    for (Map.Entry<String, Expression> entry : named.entrySet()) {
      namedValues.put(entry.getKey(), entry.getValue().evaluate(scope));
    }
    return new Arguments(values, namedValues);
  }
}
