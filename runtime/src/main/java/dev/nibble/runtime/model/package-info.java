/**
 * What an engine is given: a model's weights by role, the options, the device. Entry class: {@link
 * dev.nibble.runtime.model.ModelWeights}.
 */
@NullMarked
package dev.nibble.runtime.model;

import org.jspecify.annotations.NullMarked;
