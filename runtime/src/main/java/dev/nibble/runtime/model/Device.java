package dev.nibble.runtime.model;

import java.util.Locale;

/** Where a model is to run. */
public sealed interface Device {
  /**
   * The first GPU that can run the model, else the CPU.
   *
   * @return the device
   */
  static Device auto() {
    return new Auto();
  }

  /**
   * The CPU.
   *
   * @return the device
   */
  static Device cpu() {
    return new Cpu();
  }

  /**
   * An NVIDIA GPU.
   *
   * @param index its number, as the driver counts
   * @return the device
   */
  static Device cuda(int index) {
    return new Cuda(index);
  }

  /**
   * Reads a device's name.
   *
   * @param name {@code auto}, {@code cpu}, {@code cuda} (the first) or {@code cuda:N}
   * @return the device
   * @throws IllegalArgumentException for anything else
   */
  static Device parse(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    return switch (lower) {
      case "auto" -> auto();
      case "cpu" -> cpu();
      case "cuda" -> cuda(0);
      default -> {
        if (!lower.matches("cuda:[0-9]{1,3}")) {
          throw new IllegalArgumentException(
              "device '" + name + "': expected auto, cpu, cuda or cuda:N");
        }
        yield cuda(Integer.parseInt(lower.substring("cuda:".length())));
      }
    };
  }

  /** Whatever is there. */
  record Auto() implements Device {
    @Override
    public String toString() {
      return "auto";
    }
  }

  /** The CPU. */
  record Cpu() implements Device {
    @Override
    public String toString() {
      return "cpu";
    }
  }

  /**
   * An NVIDIA GPU.
   *
   * @param index its number, as the driver counts
   */
  record Cuda(int index) implements Device {
    /** Checks the range. */
    public Cuda {
      if (index < 0) {
        throw new IllegalArgumentException("device cuda:" + index + ": expected 0 or more");
      }
    }

    @Override
    public String toString() {
      return "cuda:" + index;
    }
  }
}
