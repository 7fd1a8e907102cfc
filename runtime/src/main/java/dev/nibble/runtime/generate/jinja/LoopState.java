package dev.nibble.runtime.generate.jinja;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The variable {@code loop}. */
final class LoopState {
  private final List<?> items;
  private final int depth;
  private int index;
  private @Nullable Object lastChecked = new Object();

  LoopState(List<?> items, int depth) {
    this.items = items;
    this.depth = depth;
  }

  void moveTo(int newIndex) {
    index = newIndex;
  }

  @Nullable Object attribute(String name, Budget budget) {
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> (long) items.size() - index;
      case "revindex0" -> (long) items.size() - index - 1;
      case "first" -> index == 0;
      case "last" -> index == items.size() - 1;
      case "length" -> (long) items.size();
      case "depth" -> (long) depth;
      case "depth0" -> depth - 1L;
      case "previtem" -> neighbour(index - 1, "there is no previous item");
      case "nextitem" -> neighbour(index + 1, "there is no next item");
      case "cycle" ->
          (Callable)
              arguments ->
                  arguments.count() == 0
                      ? null
                      : arguments.positional().get(index % arguments.count());
      case "changed" ->
          (Callable)
              arguments -> {
                boolean changed = !Values.equal(arguments.positional(), lastChecked, budget);
                lastChecked = arguments.positional();
                return changed;
              };
      default -> null;
    };
  }

  private Object neighbour(int position, String problem) {
    return position >= 0 && position < items.size()
        ? new Members.Found(items.get(position))
        : new Undefined(problem);
  }
}
