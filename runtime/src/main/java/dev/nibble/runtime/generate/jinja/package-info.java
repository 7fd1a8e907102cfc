/**
 * Jinja as chat templates use it. The jinjava library cuts a template into text, expressions and
 * tags and builds their tree; what they mean is defined here, after Python's jinja2, since jinjava
 * evaluates with Java's semantics ({@code true} for {@code True}, no Python methods, other
 * precedences, reflection). Values are null, Boolean, Long, Double, String, List, Map and the few
 * types of this package; no method of any other object can be reached. Entry class: {@link
 * dev.nibble.runtime.generate.jinja.Template}, used by {@code generate} only.
 */
@NullMarked
package dev.nibble.runtime.generate.jinja;

import org.jspecify.annotations.NullMarked;
