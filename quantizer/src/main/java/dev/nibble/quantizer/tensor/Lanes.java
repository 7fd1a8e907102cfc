package dev.nibble.quantizer.tensor;

import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector width of this process: the processor's, within 128 to 512 bits, or that of the system
 * property {@code nibble.vector.bits}. Constants, and in a class of their own, because compiled
 * vector code is only good where the species is a constant, and because loading this class needs
 * the Vector API.
 *
 * <p>In the code that uses it no method takes or returns a vector. Past some size of a compiled
 * method, C2 inlines only what the JDK annotates for it, and a vector that crosses a call becomes
 * an object; which calls are past that size depends on what was compiled before.
 */
final class Lanes {
  static final VectorShape SHAPE = shape();
  static final VectorSpecies<Float> FLOATS = VectorSpecies.of(float.class, SHAPE);
  static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, SHAPE);

  /** Floats of a vector: 4, 8 or 16. */
  static final int COUNT = FLOATS.length();

  private Lanes() {}

  private static VectorShape shape() {
    int preferred = Math.min(512, VectorShape.preferredShape().vectorBitSize());
    return VectorShape.forBitSize(ProviderChoice.vectorBits().orElse(preferred));
  }

  /** Whether vectors pay: without AVX2 an x86 processor has no fused multiply-add. */
  static boolean fast() {
    String processor = System.getProperty("os.arch", "");
    boolean x86 = processor.equals("amd64") || processor.equals("x86_64");
    return VectorShape.preferredShape().vectorBitSize() >= (x86 ? 256 : 128);
  }

  /** Bits of a vector. */
  static int bits() {
    return SHAPE.vectorBitSize();
  }

  /** The end of the whole vectors in a run. */
  static int bound(int length) {
    return length & -COUNT;
  }
}
