package dev.nibble.runtime.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.nibble.bindings.cuda.CUlaunchAttribute;
import dev.nibble.bindings.cuda.CUlaunchConfig;
import dev.nibble.bindings.cuda.CUuuid;
import dev.nibble.bindings.cuda.cuda_constants;
import dev.nibble.bindings.kernels.act_quant_args;
import dev.nibble.bindings.kernels.act_quant_h;
import dev.nibble.bindings.kernels.gemm_args;
import dev.nibble.bindings.kernels.gemm_h;
import dev.nibble.bindings.kernels.gemm_tile_args;
import dev.nibble.bindings.kernels.gemm_tile_h;
import dev.nibble.bindings.kernels.gemv_args;
import dev.nibble.bindings.kernels.gemv_h;
import dev.nibble.bindings.kernels.gemv_segment;
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
    assertEquals(40, act_quant_args.x_stride$offset());
    assertEquals(60, act_quant_args.range$offset());
  }

  @Test
  void uuid() {
    assertEquals(16, CUuuid.sizeof());
  }
}
