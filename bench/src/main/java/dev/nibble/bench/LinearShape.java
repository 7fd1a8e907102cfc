package dev.nibble.bench;

/**
 * A linear of a model, by name: {@code llama-2-7b/qkv}, or plainly {@code ROWSxCOLUMNS}.
 *
 * @param rows outputs
 * @param columns inputs
 */
public record LinearShape(int rows, int columns) {
  /**
   * Reads a name.
   *
   * @param name of a linear, or its size
   * @return the shape
   * @throws IllegalArgumentException if there is no such linear
   */
  public static LinearShape of(String name) {
    return switch (name) {
      case "tinyllama-1.1b/qkv" -> new LinearShape(2560, 2048);
      case "tinyllama-1.1b/o" -> new LinearShape(2048, 2048);
      case "tinyllama-1.1b/gate_up" -> new LinearShape(11264, 2048);
      case "tinyllama-1.1b/down" -> new LinearShape(2048, 5632);
      case "llama-2-7b/qkv" -> new LinearShape(12288, 4096);
      case "llama-2-7b/o" -> new LinearShape(4096, 4096);
      case "llama-2-7b/gate_up" -> new LinearShape(22016, 4096);
      case "llama-2-7b/down" -> new LinearShape(4096, 11008);
      case "llama-2-7b/head" -> new LinearShape(32000, 4096);
      case "llama-2-70b/o" -> new LinearShape(8192, 8192);
      case "llama-2-70b/gate" -> new LinearShape(28672, 8192);
      default -> ofSize(name);
    };
  }

  private static LinearShape ofSize(String size) {
    int times = size.indexOf('x');
    if (times < 0) {
      throw new IllegalArgumentException(
          "linear '" + size + "': expected a name such as llama-2-7b/qkv, or ROWSxCOLUMNS");
    }
    return new LinearShape(
        Integer.parseInt(size.substring(0, times)), Integer.parseInt(size.substring(times + 1)));
  }

  /**
   * Its size, as results give it.
   *
   * @return {@code ROWSxCOLUMNS}
   */
  public String size() {
    return rows + "x" + columns;
  }
}
