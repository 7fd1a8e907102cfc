/**
 * From a prompt to streamed text: models, sessions, sampling, stop strings, chat templates. Entry
 * class: {@link dev.nibble.runtime.generate.Model}.
 */
@NullMarked
package dev.nibble.runtime.generate;

import org.jspecify.annotations.NullMarked;
