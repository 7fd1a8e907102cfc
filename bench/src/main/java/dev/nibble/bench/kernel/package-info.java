/**
 * Single operations of a model on a GPU, through the runtime's own launchers: made of random
 * numbers, compared with plain loops in double precision, then timed as a CUDA graph over memory
 * that no cache holds. Entry class: {@link dev.nibble.bench.kernel.Workbench}.
 */
@NullMarked
package dev.nibble.bench.kernel;

import org.jspecify.annotations.NullMarked;
