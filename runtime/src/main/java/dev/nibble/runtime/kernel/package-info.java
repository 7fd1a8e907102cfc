/**
 * One launcher a kernel: it checks shapes and sizes, fills the kernel's struct and launches it.
 * Entry class: {@link dev.nibble.runtime.kernel.KernelCatalog}. Only the engine calls this.
 */
@NullMarked
package dev.nibble.runtime.kernel;

import org.jspecify.annotations.NullMarked;
