/**
 * Quantization methods, one class each, and the work from a checkpoint to a packed folder. Entry
 * class: {@link dev.nibble.quantizer.method.FolderQuantizer}. Depends on {@code format} and {@code
 * tensor}.
 */
@NullMarked
package dev.nibble.quantizer.method;

import org.jspecify.annotations.NullMarked;
