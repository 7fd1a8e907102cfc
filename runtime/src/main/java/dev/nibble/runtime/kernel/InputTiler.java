package dev.nibble.runtime.kernel;

import dev.nibble.bindings.kernels.gemm_tile_args;
import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;

/** Launches gemm_tile: activations in the order that {@link LargeGemm} reads. */
public final class InputTiler {
  private static final int HALF_VECTOR = 8;

  private final Kernel kernel;
  private final MemorySegment args;
  private final LaunchConfig.Start start;

  /**
   * Loads the kernel.
   *
   * @param kernels of the device
   */
  public InputTiler(KernelCatalog kernels) {
    kernel = kernels.kernel("gemm_tile", "gemm_tile");
    args = kernel.newArguments(gemm_tile_args.sizeof());
    start = kernels.earliestStart();
  }

  /** What is tiled into what. */
  public enum Kind {
    /** fp16 to fp16. */
    HALVES(Short.BYTES),
    /** Codes to codes. */
    CODES(Byte.BYTES),
    /** Codes to fp16. */
    CODES_TO_HALVES(Short.BYTES);

    private final int bytes;

    Kind(int bytes) {
      this.bytes = bytes;
    }
  }

  /**
   * Activations in tiles.
   *
   * @param kind what they were made of
   * @param tokens rows
   * @param columns of a token
   * @param data the tiles
   */
  public record Tiled(Kind kind, int tokens, int columns, DeviceRange data) {
    long require() {
      return data.require("tiled input", bytes(kind, tokens, columns));
    }
  }

  /**
   * Size of tiles.
   *
   * @param kind what they hold
   * @param tokens rows
   * @param columns of a token
   * @return bytes
   */
  public static long bytes(Kind kind, int tokens, int columns) {
    int unit = gemm_tile_h.GEMM_TILE_TOKEN_UNIT();
    long padded = Math.ceilDiv(tokens, unit) * (long) unit;
    return Math.multiplyExact(padded * kind.bytes, ActivationCodes.codeStride(columns));
  }

  /**
   * Enqueues the tiling of halves. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param x fp16, its stride a multiple of 8
   * @param tiled receives them
   */
  public void halves(Stream stream, MatrixRows x, Tiled tiled) {
    launch(
        stream,
        x.require("x", tiled.tokens(), tiled.columns(), Short.BYTES, HALF_VECTOR),
        x.stride(),
        tiled);
  }

  /**
   * Enqueues the tiling of codes. Asynchronous with respect to the host.
   *
   * @param stream runs it
   * @param x codes of as many tokens and columns
   * @param tiled receives them
   */
  public void codes(Stream stream, ActivationCodes x, Tiled tiled) {
    launch(
        stream, x.requireCodes(tiled.tokens()), ActivationCodes.codeStride(tiled.columns()), tiled);
  }

  private void launch(Stream stream, long x, long stride, Tiled tiled) {
    StructPointers.set(args, gemm_tile_args.x$offset(), x);
    StructPointers.set(args, gemm_tile_args.tiled$offset(), tiled.require());
    gemm_tile_args.x_stride(args, stride);
    gemm_tile_args.tokens(args, tiled.tokens());
    gemm_tile_args.columns(args, tiled.columns());
    gemm_tile_args.kind(
        args,
        switch (tiled.kind()) {
          case HALVES -> gemm_tile_h.GEMM_TILE_HALVES();
          case CODES -> gemm_tile_h.GEMM_TILE_CODES();
          case CODES_TO_HALVES -> gemm_tile_h.GEMM_TILE_CODES_TO_HALVES();
        });
    long padded = ActivationCodes.codeStride(tiled.columns());
    int blockColumns = tiled.kind() == Kind.CODES ? 128 : 64;
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(
                Math.ceilDiv(tiled.tokens(), gemm_tile_h.GEMM_TILE_TOKENS()),
                Math.toIntExact(padded / blockColumns),
                1),
            Dim3.of(gemm_tile_h.GEMM_TILE_THREADS()),
            0,
            start),
        args);
  }
}
