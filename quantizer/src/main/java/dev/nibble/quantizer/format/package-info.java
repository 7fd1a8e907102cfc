/**
 * Checkpoint and packed model files: safetensors, model config, quantization schemes and the packed
 * layout. Entry class: {@link dev.nibble.quantizer.format.Checkpoint}. Depends on nothing else of
 * ours.
 */
@NullMarked
package dev.nibble.quantizer.format;

import org.jspecify.annotations.NullMarked;
