/**
 * From a prompt to streamed text: sessions, sampling, stop strings, chat templates. Entry class:
 * {@link dev.nibble.runtime.generate.Session}.
 */
@NullMarked
package dev.nibble.runtime.generate;

import org.jspecify.annotations.NullMarked;
