/**
 * The suite: {@code java -jar bench/target/benchmarks.jar}. Steps, named in a file, are done one
 * after the other, and their measurements appended to a file of results.
 */
@NullMarked
package dev.nibble.bench.suite;

import org.jspecify.annotations.NullMarked;
