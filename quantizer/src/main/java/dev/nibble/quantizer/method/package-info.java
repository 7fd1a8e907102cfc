/**
 * Quantization methods, one class each. Entry class: {@link dev.nibble.quantizer.method.Rtn}.
 * Depends on {@code format} and {@code tensor}.
 */
@NullMarked
package dev.nibble.quantizer.method;

import org.jspecify.annotations.NullMarked;
