/**
 * Calibration: windows of text, one transformer block at a time in float32, its inputs at full
 * precision and as the quantized blocks before it leave them. Entry class: {@link
 * dev.nibble.quantizer.calibration.BlockCalibration}. Depends on {@code format}, {@code tensor} and
 * {@code tokenizer}.
 */
@NullMarked
package dev.nibble.quantizer.calibration;

import org.jspecify.annotations.NullMarked;
