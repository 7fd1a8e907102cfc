package dev.nibble.bench.kernel;

import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import java.util.Map;

/**
 * The time of an operation.
 *
 * @param name of its kernel, or of a library's
 * @param program that it is of; empty for this project's kernels
 * @param parameters shape, scheme and the like
 * @param microseconds of one
 * @param work of one
 */
public record Timed(
    String name, String program, Map<String, String> parameters, Spread microseconds, Work work) {}
