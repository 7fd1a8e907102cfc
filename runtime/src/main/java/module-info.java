/** Runs quantized LLaMA models: engines, key-value cache, generation, the command line. */
module dev.nibble.runtime {
  requires dev.nibble.bindings;
  requires dev.nibble.kernels;
  requires transitive dev.nibble.quantizer;
  requires com.fasterxml.jackson.databind;
  requires info.picocli;
  requires java.management;
  requires jdk.management;
  requires jinjava;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports dev.nibble.runtime.cuda;
  exports dev.nibble.runtime.engine;
  exports dev.nibble.runtime.generate;
  exports dev.nibble.runtime.model;

  opens dev.nibble.runtime.cli to
      info.picocli;
}
