package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cublaslt.cublasLtMatmulHeuristicResult_t;
import dev.nibble.bindings.cublaslt.cublaslt_constants;
import dev.nibble.bindings.cublaslt.cublaslt_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * Products of matrices by cuBLASLt, for measurements to stand beside: no model runs on it. The
 * library belongs to the CUDA toolkit and may be absent. Used by one thread at a time.
 */
public final class CublasLt implements AutoCloseable {
  static final String LIBRARY = "libcublasLt.so.13";
  private static final long WORKSPACE_BYTES = 32L << 20;
  private static final int MOST_CHOICES = 8;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment handle;
  private final DeviceBuffer workspace;
  private final MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
  private final MemorySegment zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
  private boolean closed;

  private CublasLt(Device device) {
    MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
    check("cublasLtCreate", cublaslt_h.cublasLtCreate(out));
    handle = out.get(ValueLayout.ADDRESS, 0);
    workspace = device.allocate(WORKSPACE_BYTES);
  }

  /** Asked of the system once. */
  private static final class Probe {
    static final boolean FOUND = NativeDriver.canLoad(LIBRARY);
  }

  /**
   * Tells whether the library is here.
   *
   * @return its version, such as 130100, empty if it cannot be loaded
   */
  public static Optional<Long> version() {
    return Probe.FOUND ? Optional.of(cublaslt_h.cublasLtGetVersion()) : Optional.empty();
  }

  /**
   * Opens the library on a device.
   *
   * @param device current on this thread; closed after this
   * @return the library, empty if it cannot be loaded
   * @throws CublasLtException if it refuses
   */
  public static Optional<CublasLt> open(Device device) {
    return version().map(_ -> new CublasLt(device));
  }

  /** What is multiplied. */
  public enum Numbers {
    /** fp16, summed as float, the result fp16. */
    HALVES(
        cublaslt_constants.CUBLAS_COMPUTE_32F(),
        cublaslt_constants.CUDA_R_16F(),
        cublaslt_constants.CUDA_R_16F()),
    /** int8, summed as int32, the result int8, clamped. */
    BYTES(
        cublaslt_constants.CUBLAS_COMPUTE_32I(),
        cublaslt_constants.CUDA_R_8I(),
        cublaslt_constants.CUDA_R_8I());

    private final int computation;
    private final int operands;
    private final int results;

    Numbers(int computation, int operands, int results) {
      this.computation = computation;
      this.operands = operands;
      this.results = results;
    }
  }

  /** A product of one shape, and the algorithms that the library advises for it. */
  public final class Product implements AutoCloseable {
    private final MemorySegment description;
    private final MemorySegment weights;
    private final MemorySegment inputs;
    private final MemorySegment outputs;
    private final MemorySegment[] algorithms;

    private Product(Numbers numbers, int tokens, int rows, int columns) {
      description =
          create(
              "cublasLtMatmulDescCreate",
              out ->
                  cublaslt_h.cublasLtMatmulDescCreate(
                      out, numbers.computation, cublaslt_constants.CUDA_R_32F()));
      // The library counts columns first: W is [columns, rows] to it, and is transposed.
      MemorySegment transposed =
          arena.allocateFrom(ValueLayout.JAVA_INT, cublaslt_constants.CUBLAS_OP_T());
      check(
          "cublasLtMatmulDescSetAttribute",
          cublaslt_h.cublasLtMatmulDescSetAttribute(
              description,
              cublaslt_constants.CUBLASLT_MATMUL_DESC_TRANSA(),
              transposed,
              Integer.BYTES));
      weights = layout(numbers.operands, columns, rows);
      inputs = layout(numbers.operands, columns, tokens);
      outputs = layout(numbers.results, rows, tokens);
      algorithms = advised();
    }

    private MemorySegment[] advised() {
      MemorySegment preference =
          create("cublasLtMatmulPreferenceCreate", cublaslt_h::cublasLtMatmulPreferenceCreate);
      try {
        check(
            "cublasLtMatmulPreferenceSetAttribute",
            cublaslt_h.cublasLtMatmulPreferenceSetAttribute(
                preference,
                cublaslt_constants.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(),
                arena.allocateFrom(ValueLayout.JAVA_LONG, WORKSPACE_BYTES),
                Long.BYTES));
        MemorySegment results = cublasLtMatmulHeuristicResult_t.allocateArray(MOST_CHOICES, arena);
        MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
        check(
            "cublasLtMatmulAlgoGetHeuristic",
            cublaslt_h.cublasLtMatmulAlgoGetHeuristic(
                handle,
                description,
                weights,
                inputs,
                outputs,
                outputs,
                preference,
                MOST_CHOICES,
                results,
                count));
        MemorySegment[] found = new MemorySegment[count.get(ValueLayout.JAVA_INT, 0)];
        for (int i = 0; i < found.length; i++) {
          MemorySegment result = cublasLtMatmulHeuristicResult_t.asSlice(results, i);
          check("cublasLtMatmulAlgoGetHeuristic", cublasLtMatmulHeuristicResult_t.state(result));
          found[i] = cublasLtMatmulHeuristicResult_t.algo(result);
        }
        return found;
      } finally {
        check(
            "cublasLtMatmulPreferenceDestroy",
            cublaslt_h.cublasLtMatmulPreferenceDestroy(preference));
      }
    }

    /**
     * How many algorithms the library advises.
     *
     * @return at least 1; the first is the one it thinks best
     */
    public int choices() {
      return algorithms.length;
    }

    /**
     * The library's number of an algorithm.
     *
     * @param choice below {@link #choices}
     * @return its CUBLASLT_ALGO_CONFIG_ID; several choices may share it
     */
    public int algorithm(int choice) {
      MemorySegment id = arena.allocate(ValueLayout.JAVA_INT);
      check(
          "cublasLtMatmulAlgoConfigGetAttribute",
          cublaslt_h.cublasLtMatmulAlgoConfigGetAttribute(
              algorithms[choice],
              cublaslt_constants.CUBLASLT_ALGO_CONFIG_ID(),
              id,
              Integer.BYTES,
              MemorySegment.NULL));
      return id.get(ValueLayout.JAVA_INT, 0);
    }

    /**
     * Enqueues y = x W^T. Asynchronous with respect to the host.
     *
     * @param stream runs it
     * @param choice of algorithm, below {@link #choices}
     * @param matrix W [rows, columns]
     * @param x [tokens, columns]
     * @param y [tokens, rows]
     */
    public void multiply(
        Stream stream, int choice, DeviceRange matrix, DeviceRange x, DeviceRange y) {
      MemorySegment result = MemorySegment.ofAddress(y.address());
      check(
          "cublasLtMatmul",
          cublaslt_h.cublasLtMatmul(
              handle,
              description,
              one,
              MemorySegment.ofAddress(matrix.address()),
              weights,
              MemorySegment.ofAddress(x.address()),
              inputs,
              zero,
              result,
              outputs,
              result,
              outputs,
              algorithms[choice],
              MemorySegment.ofAddress(workspace.address()),
              WORKSPACE_BYTES,
              stream.handle()));
    }

    @Override
    public void close() {
      check("cublasLtMatmulDescDestroy", cublaslt_h.cublasLtMatmulDescDestroy(description));
      for (MemorySegment layout : new MemorySegment[] {weights, inputs, outputs}) {
        check("cublasLtMatrixLayoutDestroy", cublaslt_h.cublasLtMatrixLayoutDestroy(layout));
      }
    }
  }

  /**
   * Prepares a product.
   *
   * @param numbers what is multiplied
   * @param tokens rows of the input
   * @param rows of the weights
   * @param columns of both; like the rows a multiple of 16 for {@link Numbers#BYTES}
   * @return the product, to be closed before this
   * @throws CublasLtException if the library has no algorithm for it
   */
  public Product product(Numbers numbers, int tokens, int rows, int columns) {
    return new Product(numbers, tokens, rows, columns);
  }

  private static MemorySegment layout(int type, int rows, int columns) {
    return create(
        "cublasLtMatrixLayoutCreate",
        out -> cublaslt_h.cublasLtMatrixLayoutCreate(out, type, rows, columns, rows));
  }

  private static MemorySegment create(String function, Creation creation) {
    try (Arena room = Arena.ofConfined()) {
      MemorySegment out = room.allocate(ValueLayout.ADDRESS);
      check(function, creation.create(out));
      return out.get(ValueLayout.ADDRESS, 0);
    }
  }

  @FunctionalInterface
  private interface Creation {
    int create(MemorySegment out);
  }

  @SuppressWarnings("restricted")
  private static void check(String function, int code) {
    if (code != cublaslt_constants.CUBLAS_STATUS_SUCCESS()) {
      String name = cublaslt_h.cublasLtGetStatusName(code).reinterpret(Long.MAX_VALUE).getString(0);
      throw new CublasLtException(function, code, name);
    }
  }

  /** Closing twice does nothing. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      workspace.close();
      arena.close();
      check("cublasLtDestroy", cublaslt_h.cublasLtDestroy(handle));
    }
  }
}
