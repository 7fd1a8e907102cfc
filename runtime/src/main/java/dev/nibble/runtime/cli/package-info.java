/**
 * The command line, and the only place that writes to the standard streams. Entry class: {@link
 * dev.nibble.runtime.cli.Main}. Nothing depends on it.
 */
@NullMarked
package dev.nibble.runtime.cli;

import org.jspecify.annotations.NullMarked;
