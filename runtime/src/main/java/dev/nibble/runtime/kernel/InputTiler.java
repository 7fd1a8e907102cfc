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
    HALVES(Short.SIZE, gemm_tile_h.GEMM_TILE_HALVES()),
    /** Codes to codes. */
    CODES(Byte.SIZE, gemm_tile_h.GEMM_TILE_CODES()),
    /** Codes to fp16. */
    CODES_TO_HALVES(Short.SIZE, gemm_tile_h.GEMM_TILE_CODES_TO_HALVES()),
    /** Codes of 4 bits to two a byte. */
    CODES_TO_FOURS(4, gemm_tile_h.GEMM_TILE_CODES_TO_FOURS());

    private final int tileColumns;
    private final int number;

    Kind(int bits, int number) {
      tileColumns = gemm_tile_h.GEMM_TILE_ROW_BYTES() * Byte.SIZE / bits;
      this.number = number;
    }

    /** The k tiles of so many columns. */
    private int tiles(int columns) {
      return Math.toIntExact(Math.ceilDiv(ActivationCodes.codeStride(columns), tileColumns));
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
    return Math.multiplyExact(padded * gemm_tile_h.GEMM_TILE_ROW_BYTES(), kind.tiles(columns));
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
    gemm_tile_args.kind(args, tiled.kind().number);
    kernel.launch(
        stream,
        new LaunchConfig(
            new Dim3(
                Math.ceilDiv(tiled.tokens(), gemm_tile_h.GEMM_TILE_TOKENS()),
                tiled.kind().tiles(tiled.columns()),
                1),
            Dim3.of(gemm_tile_h.GEMM_TILE_THREADS()),
            0,
            start),
        args);
  }
}
