package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.bindings.cublaslt.cublasLtMatmulAlgo_t;
import dev.nibble.bindings.cublaslt.cublasLtMatmulHeuristicResult_t;
import dev.nibble.bindings.cuda.CUDA_KERNEL_NODE_PARAMS_v2;
import dev.nibble.bindings.cuda.CUlaunchAttribute;
import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.CUuuid;
import dev.nibble.bindings.cuda.cuda_constants;
import dev.nibble.bindings.kernels.act_quant_args;
import dev.nibble.bindings.kernels.act_quant_h;
import dev.nibble.bindings.kernels.activation_args;
import dev.nibble.bindings.kernels.activation_h;
import dev.nibble.bindings.kernels.attention_decode_args;
import dev.nibble.bindings.kernels.attention_decode_h;
import dev.nibble.bindings.kernels.attention_prefill_args;
import dev.nibble.bindings.kernels.attention_prefill_h;
import dev.nibble.bindings.kernels.dense_gemv_args;
import dev.nibble.bindings.kernels.dense_gemv_h;
import dev.nibble.bindings.kernels.embedding_args;
import dev.nibble.bindings.kernels.embedding_h;
import dev.nibble.bindings.kernels.gemm_args;
import dev.nibble.bindings.kernels.gemm_h;
import dev.nibble.bindings.kernels.gemm_tile_args;
import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.bindings.kernels.gemv_args;
import dev.nibble.bindings.kernels.gemv_h;
import dev.nibble.bindings.kernels.gemv_segment;
import dev.nibble.bindings.kernels.kv_stage_args;
import dev.nibble.bindings.kernels.kv_stage_h;
import dev.nibble.bindings.kernels.outlier_columns_args;
import dev.nibble.bindings.kernels.outlier_columns_h;
import dev.nibble.bindings.kernels.read_stream_args;
import dev.nibble.bindings.kernels.read_stream_h;
import dev.nibble.bindings.kernels.rope_append_args;
import dev.nibble.bindings.kernels.rope_append_h;
import dev.nibble.bindings.kernels.row_norm_args;
import dev.nibble.bindings.kernels.row_norm_h;
import dev.nibble.bindings.kernels.row_sums_args;
import dev.nibble.bindings.kernels.row_sums_h;
import dev.nibble.bindings.kernels.sample_args;
import dev.nibble.bindings.kernels.sample_h;
import dev.nibble.bindings.kernels.sample_parameters;
import dev.nibble.bindings.kernels.skinny_args;
import dev.nibble.bindings.kernels.skinny_h;
import dev.nibble.bindings.kernels.x_split_args;
import dev.nibble.bindings.kernels.x_split_h;
import dev.nibble.bindings.nvml.nvmlMemory_t;
import org.junit.jupiter.api.Test;

/** Sizes and offsets as the CUDA compiler prints them, x86-64. */
class StructLayoutTest {
  @Test
  void launchConfig() {
    assertEquals(56, CUlaunchConfig.sizeof());
    assertEquals(0, CUlaunchConfig.gridDimX$offset());
    assertEquals(12, CUlaunchConfig.blockDimX$offset());
    assertEquals(24, CUlaunchConfig.sharedMemBytes$offset());
    assertEquals(32, CUlaunchConfig.hStream$offset());
    assertEquals(40, CUlaunchConfig.attrs$offset());
    assertEquals(48, CUlaunchConfig.numAttrs$offset());
  }

  @Test
  void launchAttribute() {
    assertEquals(72, CUlaunchAttribute.sizeof());
    assertEquals(0, CUlaunchAttribute.id$offset());
    assertEquals(8, CUlaunchAttribute.value$offset());
    assertEquals(6, cuda_constants.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION());
  }

  @Test
  void kernelArguments() {
    assertEquals(act_quant_h.ACT_QUANT_ARGS_BYTES(), act_quant_args.sizeof());
    assertEquals(gemm_h.GEMM_ARGS_BYTES(), gemm_args.sizeof());
    assertEquals(gemm_tile_h.GEMM_TILE_ARGS_BYTES(), gemm_tile_args.sizeof());
    assertEquals(gemv_h.GEMV_SEGMENT_BYTES(), gemv_segment.sizeof());
    assertEquals(gemv_h.GEMV_ARGS_BYTES(), gemv_args.sizeof());
    assertEquals(dense_gemv_h.DENSE_GEMV_ARGS_BYTES(), dense_gemv_args.sizeof());
    assertEquals(read_stream_h.READ_STREAM_ARGS_BYTES(), read_stream_args.sizeof());
    assertEquals(row_sums_h.ROW_SUMS_ARGS_BYTES(), row_sums_args.sizeof());
    assertEquals(skinny_h.SKINNY_ARGS_BYTES(), skinny_args.sizeof());
    assertEquals(x_split_h.X_SPLIT_ARGS_BYTES(), x_split_args.sizeof());
    assertEquals(activation_h.ACTIVATION_ARGS_BYTES(), activation_args.sizeof());
    assertEquals(attention_decode_h.ATTENTION_DECODE_ARGS_BYTES(), attention_decode_args.sizeof());
    assertEquals(
        attention_prefill_h.ATTENTION_PREFILL_ARGS_BYTES(), attention_prefill_args.sizeof());
    assertEquals(embedding_h.EMBEDDING_ARGS_BYTES(), embedding_args.sizeof());
    assertEquals(kv_stage_h.KV_STAGE_ARGS_BYTES(), kv_stage_args.sizeof());
    assertEquals(outlier_columns_h.OUTLIER_COLUMNS_ARGS_BYTES(), outlier_columns_args.sizeof());
    assertEquals(row_norm_h.ROW_NORM_ARGS_BYTES(), row_norm_args.sizeof());
    assertEquals(rope_append_h.ROPE_APPEND_ARGS_BYTES(), rope_append_args.sizeof());
    assertEquals(sample_h.SAMPLE_ARGS_BYTES(), sample_args.sizeof());
    assertEquals(sample_h.SAMPLE_PARAMETERS_BYTES(), sample_parameters.sizeof());
    assertEquals(40, act_quant_args.x_stride$offset());
    assertEquals(60, act_quant_args.range$offset());
  }

  @Test
  void kernelNode() {
    assertEquals(72, CUDA_KERNEL_NODE_PARAMS_v2.sizeof());
    assertEquals(0, CUDA_KERNEL_NODE_PARAMS_v2.func$offset());
    assertEquals(8, CUDA_KERNEL_NODE_PARAMS_v2.gridDimX$offset());
    assertEquals(20, CUDA_KERNEL_NODE_PARAMS_v2.blockDimX$offset());
    assertEquals(32, CUDA_KERNEL_NODE_PARAMS_v2.sharedMemBytes$offset());
    assertEquals(40, CUDA_KERNEL_NODE_PARAMS_v2.kernelParams$offset());
    assertEquals(56, CUDA_KERNEL_NODE_PARAMS_v2.kern$offset());
  }

  @Test
  void structsOfOptionalLibraries() {
    assertEquals(24, nvmlMemory_t.sizeof());
    assertEquals(0, nvmlMemory_t.total$offset());
    assertEquals(8, nvmlMemory_t.free$offset());
    assertEquals(16, nvmlMemory_t.used$offset());
    assertEquals(64, cublasLtMatmulAlgo_t.sizeof());
    assertEquals(96, cublasLtMatmulHeuristicResult_t.sizeof());
    assertEquals(0, cublasLtMatmulHeuristicResult_t.algo$offset());
    assertEquals(64, cublasLtMatmulHeuristicResult_t.workspaceSize$offset());
    assertEquals(72, cublasLtMatmulHeuristicResult_t.state$offset());
  }

  @Test
  void uuid() {
    assertEquals(16, CUuuid.sizeof());
  }
}
