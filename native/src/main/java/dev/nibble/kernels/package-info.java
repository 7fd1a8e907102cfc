/** Opens kernel images by name and architecture. */
@NullMarked
package dev.nibble.kernels;

import org.jspecify.annotations.NullMarked;
