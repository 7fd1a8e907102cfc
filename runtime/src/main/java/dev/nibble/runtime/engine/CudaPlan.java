package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;

/** All device memory of an engine on a GPU, planned before any of it is taken. */
final class CudaPlan {
  /** Tokens of a prompt that go through the model together. */
  static final int CHUNK = 2048;

  private static final int FP16 = 16;

  private final DevicePlan weightPlan = new DevicePlan();
  private final DevicePlan workPlan = new DevicePlan();
  private final DevicePlan cachePlan = new DevicePlan();
  private final KvLayout cache;
  private final KvLayout stage;
  private final DeviceModel model;
  private final CudaWorkspace work;
  private final StepInputs stepInputs;
  private final StepInputs promptInputs;
  private final DevicePlan.Piece blocks;
  private final long blockBytes;
  private final MemoryPlan summary;

  CudaPlan(ModelWeights weights, ModelOptions options) {
    ModelConfig config = weights.config();
    int contextLength = options.contextLength(config);
    int sequences = options.sequences();
    cache =
        KvLayout.of(config.scheme().kvBits(), contextLength, config.kvHeads(), config.headDim());
    stage = new KvLayout(FP16, cache.capacity(), config.kvHeads(), config.headDim());
    int rows = Math.max(Math.min(CHUNK, contextLength), sequences);
    model = new DeviceModel(weightPlan, weights, contextLength);
    work = new CudaWorkspace(workPlan, config, rows, sequences, cache, stage, model.keepsColumns());
    stepInputs = new StepInputs(workPlan, sequences);
    promptInputs = new StepInputs(workPlan, rows);
    blockBytes = Math.multiplyExact(cache.regionBytes(), config.layers());
    blocks = cachePlan.reserve(Math.multiplyExact(blockBytes, sequences));
    summary =
        new MemoryPlan(
            contextLength,
            sequences,
            weightPlan.bytes(),
            Math.ceilDiv(blockBytes, contextLength),
            workPlan.bytes());
  }

  /** Its sizes. */
  MemoryPlan summary() {
    return summary;
  }

  /** What the device must have free. */
  long bytes() {
    return Math.addExact(Math.addExact(weightPlan.bytes(), workPlan.bytes()), cachePlan.bytes());
  }

  /** Takes the memory. */
  void allocate(Device device) {
    weightPlan.allocate(device);
    workPlan.allocate(device);
    cachePlan.allocate(device);
    stepInputs.allocate(device);
    promptInputs.allocate(device);
  }

  /** Of the weights. */
  long weightBytes() {
    return weightPlan.bytes();
  }

  /** Layout of a layer's keys and values. */
  KvLayout cache() {
    return cache;
  }

  /** Layout they are restored to for prompts. */
  KvLayout stage() {
    return stage;
  }

  DeviceModel model() {
    return model;
  }

  CudaWorkspace work() {
    return work;
  }

  StepInputs stepInputs() {
    return stepInputs;
  }

  StepInputs promptInputs() {
    return promptInputs;
  }

  /** The caches of all sequences. */
  DevicePlan.Piece blocks() {
    return blocks;
  }

  /** The cache of one. */
  long blockBytes() {
    return blockBytes;
  }
}
