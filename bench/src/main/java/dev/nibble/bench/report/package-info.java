/**
 * The report: charts and one page from the committed results, by {@code java -jar
 * bench/target/benchmarks.jar report}, and the figures of other programs read in.
 */
@NullMarked
package dev.nibble.bench.report;

import org.jspecify.annotations.NullMarked;
