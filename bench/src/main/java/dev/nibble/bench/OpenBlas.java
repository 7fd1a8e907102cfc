package dev.nibble.bench;

import dev.nibble.quantizer.tensor.FloatMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** {@code cblas_sgemm} of the system's OpenBLAS, on heap arrays. For comparison only. */
final class OpenBlas {
  private static final String LIBRARY = System.getProperty("openblas", "libopenblas.so.0");
  private static final int ROW_MAJOR = 101;
  private static final int PLAIN = 111;
  private static final int TRANSPOSED = 112;
  private static final MethodHandle SGEMM = find();

  private OpenBlas() {}

  /** c = a b. */
  static void multiply(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
    try {
      SGEMM.invokeExact(
          ROW_MAJOR,
          order(a),
          order(b),
          c.rows(),
          c.columns(),
          a.columns(),
          1f,
          MemorySegment.ofArray(a.data()),
          stride(a),
          MemorySegment.ofArray(b.data()),
          stride(b),
          0f,
          MemorySegment.ofArray(c.data()),
          c.rowStride());
    } catch (Throwable e) {
      throw new IllegalStateException("cblas_sgemm", e);
    }
  }

  private static int order(FloatMatrix m) {
    return m.columnStride() == 1 ? PLAIN : TRANSPOSED;
  }

  private static int stride(FloatMatrix m) {
    return m.columnStride() == 1 ? m.rowStride() : m.columnStride();
  }

  @SuppressWarnings("restricted")
  private static MethodHandle find() {
    SymbolLookup library;
    try {
      library = SymbolLookup.libraryLookup(LIBRARY, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new IllegalStateException(
          LIBRARY + ": not found; install OpenBLAS, or leave openBlas out of the run", e);
    }
    return Linker.nativeLinker()
        .downcallHandle(
            library.findOrThrow("cblas_sgemm"),
            FunctionDescriptor.ofVoid(
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_FLOAT,
                ValueLayout.ADDRESS,
                ValueLayout.JAVA_INT,
                ValueLayout.ADDRESS,
                ValueLayout.JAVA_INT,
                ValueLayout.JAVA_FLOAT,
                ValueLayout.ADDRESS,
                ValueLayout.JAVA_INT),
            Linker.Option.critical(true));
  }
}
