package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.engine.DeviceModel.DeviceBlock;
import dev.nibble.runtime.engine.DeviceModel.Output;
import dev.nibble.runtime.kernel.ActivationCodes;
import dev.nibble.runtime.kernel.ActivationFunction;
import dev.nibble.runtime.kernel.CodeRule;
import dev.nibble.runtime.kernel.DeviceWeights;
import dev.nibble.runtime.kernel.EmbeddingLookup;
import dev.nibble.runtime.kernel.Epilogue;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.kernel.LargeGemm;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.OutlierProduct;
import dev.nibble.runtime.kernel.PackedGemv.Result;
import dev.nibble.runtime.kernel.TokenSampler;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Enqueues the forward pass: embedding, blocks, final norm, head. Everything that changes from step
 * to step lies in device memory, so that the work of a decode step can be captured once.
 */
final class CudaTransformer {
  private final ModelConfig config;
  private final Stream stream;
  private final CudaKernels kernels;
  private final CudaWorkspace work;
  private final KvLayout cache;
  private final KvLayout stage;
  private final EmbeddingLookup.Table embedding;
  private final EmbeddingLookup.@Nullable Table positions;
  private final List<DeviceBlock> blocks;
  private final DeviceNorm finalNorm;
  private final DeviceLinear head;
  private final DecodeProducts few;
  private final int queryColumns;
  private final int keyColumns;

  CudaTransformer(
      ModelConfig config,
      Stream stream,
      CudaKernels kernels,
      CudaWorkspace work,
      KvLayout cache,
      KvLayout stage,
      DeviceModel model) {
    this.config = config;
    this.stream = stream;
    this.kernels = kernels;
    this.work = work;
    this.cache = cache;
    this.stage = stage;
    embedding = model.embedding();
    positions = model.positions();
    blocks = model.blocks();
    finalNorm = model.finalNorm();
    head = model.head();
    few = new DecodeProducts(stream, kernels, work);
    queryColumns = DeviceModel.padded(config.heads() * config.headDim());
    keyColumns = DeviceModel.padded(config.kvHeads() * config.headDim());
    for (DeviceLinear linear : model.linears()) {
      prepare(linear);
    }
    kernels.gemm().prepare(head.weights(), InputTiler.Kind.HALVES);
  }

  /** Loads the kernels of a linear, and computes what its quantized inputs need. */
  private void prepare(DeviceLinear linear) {
    kernels.gemm().prepare(linear.weights(), InputTiler.Kind.HALVES);
    if (linear.rule() != null) {
      kernels.gemm().prepare(linear.weights(), inputTiles(linear));
    }
  }

  /**
   * Computes the sums of the weights' rows, which quantized inputs need.
   *
   * @param ones fp16, as many as the widest input: weights of 16 bits are multiplied with them
   */
  void sumRows(List<DeviceLinear> linears, DeviceRange ones) {
    for (DeviceLinear linear : linears) {
      MatrixRows sums = linear.rowSums();
      if (sums != null) {
        switch (linear.weights()) {
          case DeviceWeights.Packed packed -> kernels.rowSums().launch(stream, packed, sums.data());
          case DeviceWeights.Dense dense -> sumRows(dense, ones, sums);
        }
      }
    }
  }

  private void sumRows(DeviceWeights.Dense weights, DeviceRange ones, MatrixRows sums) {
    int columns = weights.columns();
    InputTiler.Tiled tiled = work.tiled(InputTiler.Kind.HALVES, 1, columns);
    kernels
        .tiler()
        .halves(stream, new MatrixRows(ones, ActivationCodes.codeStride(columns)), tiled);
    kernels.gemm().multiply(stream, weights, null, tiled, null, Epilogue.STORE_FLOAT, sums);
  }

  /**
   * Runs a token of each of some sequences.
   *
   * @param inputs tokens, positions and caches of the rows
   * @param rows sequences
   */
  void decode(StepInputs inputs, int rows) {
    embed(inputs, rows);
    for (int layer = 0; layer < blocks.size(); layer++) {
      DeviceBlock block = blocks.get(layer);
      projectFew(block, rows);
      kernels
          .decodeAttention()
          .launch(
              stream,
              block.heads(),
              layer * cache.regionBytes(),
              config.slidingWindows().get(layer),
              work.qkv(),
              keys(),
              values(),
              rows,
              inputs.positions(),
              inputs.caches(),
              work.attention(),
              work.attended());
      finishFew(block, rows);
    }
  }

  /** As {@link #project}, for a decode step. */
  private void projectFew(DeviceBlock block, int rows) {
    if (areFew(block.queryKeyValue(), rows)) {
      normedFew(block.attentionNorm(), block.queryKeyValue(), rows, work.qkv());
    } else {
      project(block, rows);
    }
  }

  private void normedFew(DeviceNorm norm, List<Output> outputs, int rows, MatrixRows y) {
    for (Output output : outputs) {
      few.normed(
          norm, output.linear(), rows, Result.STORE_HALF, y.from(output.column(), Short.BYTES));
    }
  }

  /** As {@link #finish}, for a decode step. */
  private void finishFew(DeviceBlock block, int rows) {
    if (!areFew(block.gateUp(), rows)
        || !few.takes(block.output(), rows)
        || !few.takes(block.down(), rows)) {
      finish(block, rows);
      return;
    }
    few.multiply(block.output(), work.attended(), rows, Result.ADD_FLOAT, work.residual());
    Result fused =
        switch (config.activation()) {
          case SILU -> Result.SWIGLU_HALF;
          case RELU -> Result.RELU_HALF;
          case GELU -> null;
        };
    if (fused != null && block.gateUp().size() == 1) {
      few.normed(block.mlpNorm(), block.gateUp().getFirst().linear(), rows, fused, work.mlp());
    } else {
      normedFew(block.mlpNorm(), block.gateUp(), rows, work.mlp());
      kernels
          .activation()
          .launch(
              stream,
              activation(),
              work.mlp(),
              up(),
              rows,
              config.intermediateSize(),
              work.mlp(),
              null,
              null);
    }
    few.multiply(block.down(), work.mlp(), rows, Result.ADD_FLOAT, work.residual());
  }

  private boolean areFew(List<Output> outputs, int rows) {
    return outputs.stream().allMatch(output -> few.takes(output.linear(), rows));
  }

  /** Logits of a decode step's rows. */
  void logitsOfStep(int rows) {
    if (few.takes(head, rows)) {
      few.normed(finalNorm, head, rows, Result.STORE_FLOAT, work.logits());
    } else {
      logits(0, rows);
    }
  }

  /**
   * Runs tokens of one sequence, in the first row's cache.
   *
   * @param inputs tokens and positions of the rows
   * @param rows tokens
   * @param position of the first of them
   * @param block the sequence's keys and values
   */
  void prefill(StepInputs inputs, int rows, int position, DeviceRange block) {
    embed(inputs, rows);
    for (int layer = 0; layer < blocks.size(); layer++) {
      DeviceBlock weights = blocks.get(layer);
      long offset = layer * cache.regionBytes();
      DeviceRange region = block.slice(offset, cache.regionBytes());
      project(weights, rows);
      kernels
          .rotaryAppend()
          .launch(
              stream,
              weights.heads(),
              cache,
              offset,
              work.qkv(),
              keys(),
              values(),
              rows,
              inputs.positions(),
              inputs.caches());
      DeviceRange restored = work.stage();
      if (restored != null) {
        kernels.staging().launch(stream, cache, region, stage, restored, position + rows);
      }
      kernels
          .prefillAttention()
          .launch(
              stream,
              restored == null ? region : restored,
              config.heads(),
              config.slidingWindows().get(layer),
              work.qkv(),
              rows,
              position,
              work.attended());
      finish(weights, rows);
    }
  }

  /** Logits of rows of the residual stream, into the first rows of the workspace's. */
  void logits(int firstRow, int rows) {
    kernels
        .norm()
        .launch(
            stream,
            finalNorm.weights(),
            work.residual(),
            firstRow,
            rows,
            work.normed(),
            null,
            null);
    InputTiler.Tiled tiled = work.tiled(InputTiler.Kind.HALVES, rows, config.hiddenSize());
    kernels.tiler().halves(stream, work.normed(), tiled);
    kernels
        .gemm()
        .multiply(stream, head.weights(), null, tiled, null, Epilogue.STORE_FLOAT, work.logits());
  }

  /** Chooses the next tokens by the first rows of the logits, and makes them the inputs'. */
  void sample(StepInputs inputs, int rows, TokenSampler.Results results) {
    kernels
        .sampler()
        .launch(
            stream,
            work.logits(),
            config.vocabSize(),
            rows,
            inputs.parameters(),
            inputs.positions(),
            work.sampling(),
            inputs.tokens(),
            results);
  }

  private void embed(StepInputs inputs, int rows) {
    kernels
        .embedding()
        .launch(
            stream,
            embedding,
            positions,
            inputs.tokens(),
            inputs.positions(),
            rows,
            work.residual());
  }

  private MatrixRows keys() {
    return work.qkv().from(queryColumns, Short.BYTES);
  }

  private MatrixRows values() {
    return work.qkv().from(queryColumns + keyColumns, Short.BYTES);
  }

  /** Norm of the residual stream, then queries, keys and values. */
  private void project(DeviceBlock block, int rows) {
    normed(block.attentionNorm(), block.queryKeyValue(), rows, work.qkv());
  }

  /** From the attention's output to the block's. */
  private void finish(DeviceBlock block, int rows) {
    read(block.output(), ActivationFunction.Kind.NONE, work.attended(), null, rows);
    multiply(block.output(), work.attended(), rows, Epilogue.ADD_FLOAT, work.residual());
    normed(block.mlpNorm(), block.gateUp(), rows, work.mlp());
    read(block.down(), activation(), work.mlp(), up(), rows);
    multiply(block.down(), work.mlp(), rows, Epilogue.ADD_FLOAT, work.residual());
  }

  private ActivationFunction.Kind activation() {
    return switch (config.activation()) {
      case SILU -> ActivationFunction.Kind.SWIGLU;
      case RELU -> ActivationFunction.Kind.RELU;
      case GELU -> ActivationFunction.Kind.GELU;
    };
  }

  /** What the activation multiplies by, if anything. */
  private @Nullable MatrixRows up() {
    return switch (config.activation()) {
      case SILU -> work.mlp().from(DeviceModel.padded(config.intermediateSize()), Short.BYTES);
      case RELU, GELU -> null;
    };
  }

  /** y = linears(norm(residual)). */
  private void normed(DeviceNorm norm, List<Output> outputs, int rows, MatrixRows y) {
    for (int i = 0; i < outputs.size(); i++) {
      Output output = outputs.get(i);
      DeviceLinear linear = output.linear();
      CodeRule rule = linear.rule();
      if (rule == null) {
        if (i == 0) {
          kernels
              .norm()
              .launch(stream, norm.weights(), work.residual(), 0, rows, work.normed(), null, null);
          tile(linear, work.normed(), rows);
        }
      } else {
        kernels
            .norm()
            .launch(
                stream,
                norm.weights(),
                work.residual(),
                0,
                rows,
                linear.keepsColumns() ? work.normed() : null,
                rule,
                work.codes(linear.columns()));
        tileCodes(linear, rows);
      }
      multiply(
          linear, work.normed(), rows, Epilogue.STORE_HALF, y.from(output.column(), Short.BYTES));
    }
  }

  /** Makes the input of a linear of fp16 rows, after a function of them. */
  private void read(
      DeviceLinear linear,
      ActivationFunction.Kind kind,
      MatrixRows x,
      @Nullable MatrixRows up,
      int rows) {
    CodeRule rule = linear.rule();
    if (rule != null) {
      ActivationCodes codes = work.codes(linear.columns());
      MatrixRows y = linear.keepsColumns() && kind != ActivationFunction.Kind.NONE ? x : null;
      kernels.activation().launch(stream, kind, x, up, rows, linear.columns(), y, rule, codes);
      tileCodes(linear, rows);
      return;
    }
    if (kind != ActivationFunction.Kind.NONE) {
      kernels.activation().launch(stream, kind, x, up, rows, linear.columns(), x, null, null);
    }
    tile(linear, x, rows);
  }

  private void tile(DeviceLinear linear, MatrixRows x, int rows) {
    kernels.tiler().halves(stream, x, work.tiled(InputTiler.Kind.HALVES, rows, linear.columns()));
  }

  private void tileCodes(DeviceLinear linear, int rows) {
    kernels
        .tiler()
        .codes(
            stream,
            work.codes(linear.columns()),
            work.tiled(inputTiles(linear), rows, linear.columns()));
  }

  private InputTiler.Kind inputTiles(DeviceLinear linear) {
    CodeRule rule = linear.rule();
    return rule == null
        ? InputTiler.Kind.HALVES
        : kernels.gemm().codeTiles(linear.weights(), rule.bits());
  }

  /**
   * y = linear(the tiled input).
   *
   * @param x the input in fp16, which columns kept at 16 bits read
   */
  private void multiply(
      DeviceLinear linear, MatrixRows x, int rows, Epilogue epilogue, MatrixRows y) {
    MatrixRows sums = linear.rowSums();
    kernels
        .gemm()
        .multiply(
            stream,
            linear.weights(),
            linear.bias(),
            work.tiled(inputTiles(linear), rows, linear.columns()),
            sums == null
                ? null
                : new LargeGemm.CodeScales(work.codes(linear.columns()), sums.data()),
            epilogue,
            y);
    if (linear.keepsColumns()) {
      addKept(linear, x, rows, epilogue, y);
    }
  }

  private void addKept(
      DeviceLinear linear, MatrixRows x, int rows, Epilogue epilogue, MatrixRows y) {
    boolean halves = epilogue == Epilogue.STORE_HALF;
    for (int i = 0; i < linear.parts().size(); i++) {
      OutlierProduct.Columns kept = linear.keptColumns(i);
      if (kept != null) {
        kernels
            .outliers()
            .launch(
                stream,
                kept,
                x,
                linear.columns(),
                rows,
                halves ? OutlierProduct.Result.ADD_HALF : OutlierProduct.Result.ADD_FLOAT,
                y.from(linear.offset(i), halves ? Short.BYTES : Float.BYTES));
      }
    }
  }
}
