/**
 * JMH benchmarks. A test checks the result of each once against the scalar operations. They run
 * from the class path: {@code java -jar bench/target/benchmarks.jar jmh -prof gc}.
 */
@NullMarked
package dev.nibble.bench;

import org.jspecify.annotations.NullMarked;
