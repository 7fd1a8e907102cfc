/** Checkpoint and packed formats, tokenizers, tensor operations and quantization methods. */
module dev.nibble.quantizer {
  requires com.fasterxml.jackson.databind;
  requires jdk.incubator.vector;
  requires org.slf4j;
  requires static transitive org.jspecify;

  exports dev.nibble.quantizer.calibration;
  exports dev.nibble.quantizer.format;
  exports dev.nibble.quantizer.method;
  exports dev.nibble.quantizer.tensor;
  exports dev.nibble.quantizer.tokenizer;
}
