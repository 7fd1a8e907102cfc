/**
 * Results: one kind of record, a line of JSON each, in {@code bench/results}. Everything that
 * measures writes them, and the report reads nothing else.
 */
@NullMarked
package dev.nibble.bench.result;

import org.jspecify.annotations.NullMarked;
