package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.runtime.kernel.ActivationFunction;
import dev.nibble.runtime.kernel.DecodeAttention;
import dev.nibble.runtime.kernel.DenseGemv;
import dev.nibble.runtime.kernel.EmbeddingLookup;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.kernel.KvStaging;
import dev.nibble.runtime.kernel.LargeGemm;
import dev.nibble.runtime.kernel.NormQuantizer;
import dev.nibble.runtime.kernel.OutlierProduct;
import dev.nibble.runtime.kernel.PackedGemv;
import dev.nibble.runtime.kernel.PrefillAttention;
import dev.nibble.runtime.kernel.RotaryAppend;
import dev.nibble.runtime.kernel.RowSums;
import dev.nibble.runtime.kernel.SkinnyGemm;
import dev.nibble.runtime.kernel.TokenSampler;

/**
 * The launchers that a model's steps use.
 *
 * @param embedding starts the residual stream
 * @param outliers columns kept at 16 bits
 * @param norm norms and quantizes it
 * @param activation the MLP's function, and quantization
 * @param tiler lays inputs out for {@code gemm}
 * @param gemm products of any number of tokens
 * @param rowSums sums of packed weights' rows
 * @param gemv products of few tokens
 * @param skinny products of some tokens
 * @param denseGemv products of some tokens with weights of 16 bits
 * @param rotaryAppend rotation and append of prompts
 * @param prefillAttention attention of prompts
 * @param staging quantized keys and values for prompts
 * @param decodeAttention attention of decode steps
 * @param sampler chooses tokens
 */
record CudaKernels(
    EmbeddingLookup embedding,
    OutlierProduct outliers,
    NormQuantizer norm,
    ActivationFunction activation,
    InputTiler tiler,
    LargeGemm gemm,
    RowSums rowSums,
    PackedGemv gemv,
    SkinnyGemm skinny,
    DenseGemv denseGemv,
    RotaryAppend rotaryAppend,
    PrefillAttention prefillAttention,
    KvStaging staging,
    DecodeAttention decodeAttention,
    TokenSampler sampler) {
  static CudaKernels load(
      KernelCatalog kernels, ModelConfig config, KvLayout cache, KvLayout stage) {
    int queries = config.heads() * config.headDim();
    return new CudaKernels(
        new EmbeddingLookup(kernels),
        new OutlierProduct(kernels),
        new NormQuantizer(kernels, config.hiddenSize()),
        new ActivationFunction(kernels, Math.max(queries, config.intermediateSize())),
        new InputTiler(kernels),
        new LargeGemm(kernels),
        new RowSums(kernels),
        new PackedGemv(kernels),
        new SkinnyGemm(kernels),
        new DenseGemv(kernels),
        new RotaryAppend(kernels),
        new PrefillAttention(kernels, stage),
        new KvStaging(kernels),
        new DecodeAttention(kernels, cache),
        new TokenSampler(kernels));
  }
}
