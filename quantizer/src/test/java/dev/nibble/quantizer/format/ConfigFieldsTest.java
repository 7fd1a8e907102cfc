package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Fields by themselves, of all families. */
class ConfigFieldsTest extends ConfigFixture {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"attn_logit_softcapping\": 50.0 | attn_logit_softcapping: unknown field",
        "\"final_logit_softcapping\": 30.0 | final_logit_softcapping: unknown field",
        "\"partial_rotary_factor\": 0.5 | partial_rotary_factor: expected 1.0",
        "\"pretraining_tp\": 2 | pretraining_tp: expected 1.0, found 2",
        "\"sliding_window\": 4096 | sliding_window: unknown field",
        "\"auto_map\": {\"AutoModel\": \"x.py\"} | auto_map: unknown field",
        "\"use_mrope\": true | use_mrope: unknown field",
        "\"residual_multiplier\": 0.22 | residual_multiplier: unknown field",
        "\"head_dim\": 24 | head_dim: expected a multiple of 16 up to 128, found 24",
        "\"head_dim\": 256 | head_dim: expected a multiple of 16 up to 128, found 256",
        "\"num_key_value_heads\": 2 | num_key_value_heads: expected an integer from 1 to 1",
        "\"rope_scaling\": {\"factor\": 8.0} | rope_scaling.factor: unknown field",
        "\"rope_scaling\": 8 | rope_scaling: expected an object, found 8",
        "\"rope_scaling\": {\"type\": \"llama3\"} | rope_scaling.low_freq_factor: expected a number",
        "\"quantization_config\": {\"quant_method\": \"gptq\"} | quant_method: expected nibble",
        "\"quantization_config\": {\"quant_method\": \"fp8\"} | found fp8; quantize the original",
        "\"quantization_config\": {} | quantization_config.quant_method: expected a string",
        "\"layer_types\": [\"linear_attention\"] | layer_types: expected full_attention",
        "\"eos\": {} , \"attention_bias\": 1 | attention_bias: expected true or false, found 1"
      })
  void fieldsThatChangeTheArithmeticAreRefusedByName(String field, String expected)
      throws Exception {
    refused(add(field), expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"silu\" | \"gelu_pytorch_tanh\" | hidden_act: expected silu, found \"gelu_pytorch_tanh\"",
        "\"llama\" | \"llama4\" | model_type: expected a causal language model of llama,",
        "ForCausalLM | ForSequenceClassification | found llama [LlamaForSequenceClassification]",
        "\"model_type\": \"llama\" | \"model_type\": \"mixtral\" | found mixtral",
        "\"hidden_size\": 16 | \"hidden_size\": 2147483648 | hidden_size: expected an integer",
        "\"hidden_size\": 16 | \"hidden_size\": 0 | hidden_size: expected an integer from 1",
        "\"hidden_size\": 16 | \"hidden_size\": 16.0 | hidden_size: expected an integer",
        "\"hidden_size\": 16 | \"hidden_size\": \"16\" | hidden_size: expected an integer",
        "\"hidden_size\": 16, | \"\": null, | hidden_size: expected an integer, found none",
        "\"num_hidden_layers\": 1 | \"num_hidden_layers\": 2147483647 | from 1 to 4096",
        "1e-05 | 0 | rms_norm_eps: expected a finite number above 0, found 0",
        "1e-05 | 1e999 | rms_norm_eps: expected a finite number above 0",
        "1e-05 | -1 | rms_norm_eps: expected a finite number above 0, found -1",
        "10000.0 | \"10000\" | rope_theta: expected a finite number",
        "\"eos_token_id\": 2 | \"eos_token_id\": [2, -1] | eos_token_id: expected token ids",
        "\"eos_token_id\": 2 | \"eos_token_id\": 3000000000 | eos_token_id: expected token ids",
        "\"vocab_size\": 8 | \"vocab_size\": 8, \"vocab_size\": 9 | uplicate",
        "\"vocab_size\": 8 | \"vocab_size\": NaN | NaN"
      })
  void valuesOutOfRangeAreRefused(String from, String to, String expected) throws Exception {
    String config = SmallModel.CONFIG.replace(from, to);
    assertTrue(!config.equals(SmallModel.CONFIG), "nothing replaced");
    refused(config, expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"do_layer_norm_before\": true | \"do_layer_norm_before\": false | do_layer_norm_before",
        "\"word_embed_proj_dim\": 128 | \"word_embed_proj_dim\": 64 | word_embed_proj_dim",
        "\"enable_bias\": true | \"enable_bias\": false | enable_bias: expected true",
        "affine\": true | affine\": false | layer_norm_elementwise_affine: expected true",
        "\"relu\" | \"gelu\" | activation_function: expected relu, found \"gelu\"",
        "layer_norm\": false | layer_norm\": true | _remove_final_layer_norm: expected false"
      })
  void otherOptsAreRefusedByName(String from, String to, String expected) throws Exception {
    Path opt = Path.of(System.getProperty("project.root"), "runtime/src/test/resources/tiny/opt");
    String config = Files.readString(opt.resolve("config.json"));
    assertTrue(config.contains(from), from);
    refused(config.replace(from, to), expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"pruned_heads\": {}",
        "\"use_mrope\": false",
        "\"attn_logit_softcapping\": null",
        "\"auto_map\": []",
        "\"prefix\": \"\"",
        "\"tf_legacy_loss\": false",
        "\"rope_scaling\": {\"rope_type\": \"default\"}",
        "\"head_dim\": null",
        "\"layer_types\": [\"full_attention\"]"
      })
  void fieldsThatSayNothingArePassedOver(String field) throws Exception {
    assertEquals(read(SmallModel.CONFIG), read(add(field)));
  }
}
