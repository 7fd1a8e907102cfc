/**
 * The float operations of a transformer: the scalar double-precision oracle and the Vector API
 * provider. Entry class: {@link dev.nibble.quantizer.tensor.TensorOperations}. Depends on {@code
 * format}.
 */
@NullMarked
package dev.nibble.quantizer.tensor;

import org.jspecify.annotations.NullMarked;
