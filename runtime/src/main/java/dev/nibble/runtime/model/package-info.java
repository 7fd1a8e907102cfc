/**
 * A loaded model: its weights by role, its tokenizer, its engine. Entry class: {@link
 * dev.nibble.runtime.model.Model}.
 */
@NullMarked
package dev.nibble.runtime.model;

import org.jspecify.annotations.NullMarked;
