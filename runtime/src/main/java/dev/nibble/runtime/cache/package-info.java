/**
 * The key-value cache of a sequence. Entry class: {@link dev.nibble.runtime.cache.KvCache}. Used by
 * {@code engine} only.
 */
@NullMarked
package dev.nibble.runtime.cache;

import org.jspecify.annotations.NullMarked;
