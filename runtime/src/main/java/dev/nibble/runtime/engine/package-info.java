/**
 * Runs a model's weights: one step of B sequences, on the CPU or a GPU. Entry class: {@link
 * dev.nibble.runtime.engine.Engine}.
 */
@NullMarked
package dev.nibble.runtime.engine;

import org.jspecify.annotations.NullMarked;
