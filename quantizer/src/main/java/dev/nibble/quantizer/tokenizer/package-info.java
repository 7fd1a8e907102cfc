/**
 * Tokenizers read from {@code tokenizer.model} and {@code tokenizer.json}. Entry class: {@link
 * dev.nibble.quantizer.tokenizer.Tokenizer}. Depends on {@code format} for errors only.
 */
@NullMarked
package dev.nibble.quantizer.tokenizer;

import org.jspecify.annotations.NullMarked;
