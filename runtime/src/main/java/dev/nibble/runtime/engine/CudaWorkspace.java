package dev.nibble.runtime.engine;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.kernel.ActivationCodes;
import dev.nibble.runtime.kernel.DecodeAttention;
import dev.nibble.runtime.kernel.InputTiler;
import dev.nibble.runtime.kernel.KvLayout;
import dev.nibble.runtime.kernel.MatrixRows;
import dev.nibble.runtime.kernel.SkinnyGemm;
import dev.nibble.runtime.kernel.TokenSampler;
import java.util.Objects;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** Device memory that a step works in. */
final class CudaWorkspace {
  /** Logits held at once when a text is scored. */
  private static final int LOGITS_BYTES = 8 << 20;

  /** Strides are multiples of this, for loads of 16 bytes. */
  private static final int STRIDE_UNIT = 8;

  private final int rows;
  private final int logitRows;
  private final int hiddenStride;
  private final int queryStride;
  private final int qkvStride;
  private final int mlpStride;
  private final int vocabStride;
  private final int sumGroup;
  private final DevicePlan.Piece residual;
  private final DevicePlan.Piece normed;

  /** Queries, keys and values; then, when the attention has read them, gate and up. */
  private final DevicePlan.Piece wide;

  private final DevicePlan.Piece attended;
  private final DevicePlan.Piece tiled;
  private final DevicePlan.Piece logits;
  private final DevicePlan.@Nullable Piece stage;
  private final CodePieces codes;
  private final DevicePlan.Piece attentionPartials;
  private final DevicePlan.Piece attentionArrivals;
  private final DevicePlan.Piece samplePartials;
  private final DevicePlan.Piece sampleArrivals;
  private final DevicePlan.Piece candidates;
  private final DevicePlan.@Nullable Piece addends;
  private final int addendStride;
  private final DevicePlan.Piece splitParts;
  private final DevicePlan.Piece splitRuns;
  private final DevicePlan.Piece splitScales;
  private final DevicePlan.Piece sumChains;

  private record CodePieces(
      DevicePlan.@Nullable Piece codes,
      DevicePlan.@Nullable Piece scales,
      DevicePlan.@Nullable Piece zeros,
      DevicePlan.@Nullable Piece sums) {}

  /**
   * Plans the memory.
   *
   * @param rows most tokens of a step
   * @param sequences most sequences of a decode step
   * @param cache layout of keys and values
   * @param stage layout they are restored to for prompts; the cache's own where it is fp16
   * @param keepsColumns whether linears have columns at 16 bits
   */
  CudaWorkspace(
      DevicePlan plan,
      ModelConfig config,
      int rows,
      int sequences,
      KvLayout cache,
      KvLayout stage,
      boolean keepsColumns) {
    this.rows = rows;
    QuantScheme scheme = config.scheme();
    int queries = Math.multiplyExact(config.heads(), config.headDim());
    int keys = Math.multiplyExact(config.kvHeads(), config.headDim());
    hiddenStride = stride(config.hiddenSize());
    queryStride = stride(queries);
    qkvStride = DeviceModel.padded(queries) + 2 * DeviceModel.padded(keys);
    mlpStride = 2 * DeviceModel.padded(config.intermediateSize());
    vocabStride = stride(config.vocabSize());
    sumGroup = scheme.groupSize();
    logitRows =
        Math.clamp(
            LOGITS_BYTES / ((long) Float.BYTES * vocabStride),
            sequences,
            Math.max(rows, sequences));
    residual = plan.reserve(bytes(rows, hiddenStride, Float.BYTES));
    normed = plan.reserve(bytes(rows, hiddenStride, Short.BYTES));
    wide = plan.reserve(bytes(rows, Math.max(qkvStride, mlpStride), Short.BYTES));
    attended = plan.reserve(bytes(rows, queryStride, Short.BYTES));
    int widest =
        IntStream.of(config.hiddenSize(), queries, config.intermediateSize()).max().orElseThrow();
    tiled = plan.reserve(InputTiler.bytes(InputTiler.Kind.HALVES, rows, widest));
    logits = plan.reserve(bytes(logitRows, vocabStride, Float.BYTES));
    this.stage = stage.equals(cache) ? null : plan.reserve(stage.regionBytes());
    codes =
        scheme.quantizesActivations()
            ? new CodePieces(
                plan.reserve(rows * ActivationCodes.codeStride(widest)),
                plan.reserve((long) Float.BYTES * rows),
                plan.reserve((long) Float.BYTES * rows),
                plan.reserve(
                    bytes(rows, sumGroup == 0 ? 1 : Math.ceilDiv(widest, sumGroup), Integer.BYTES)))
            : new CodePieces(null, null, null, null);
    attentionPartials =
        plan.reserve(DecodeAttention.partialBytes(cache, config.heads(), sequences));
    attentionArrivals =
        plan.reserve(DecodeAttention.arrivalBytes(cache, config.heads(), sequences));
    samplePartials = plan.reserve(TokenSampler.partialBytes(sequences));
    sampleArrivals = plan.reserve((long) Integer.BYTES * sequences);
    candidates = plan.reserve(TokenSampler.candidateBytes(sequences, config.vocabSize()));
    int few = Math.min(sequences, SkinnyGemm.MAX_TOKENS);
    splitParts = plan.reserve(SkinnyGemm.partBytes(few, widest));
    splitRuns = plan.reserve(SkinnyGemm.runBytes(few, widest));
    splitScales = plan.reserve((long) Float.BYTES * few);
    int mostRows =
        IntStream.of(
                hiddenStride,
                qkvStride,
                mlpStride,
                scheme.headBits() == 16 ? 0 : config.vocabSize())
            .max()
            .orElseThrow();
    sumChains = plan.reserve(SkinnyGemm.chainBytes(few, DeviceModel.padded(mostRows)));
    addendStride = Math.max(qkvStride, mlpStride);
    addends = keepsColumns ? plan.reserve(bytes(few, addendStride, Float.BYTES)) : null;
  }

  private static int stride(int columns) {
    return Math.multiplyExact(Math.ceilDiv(columns, STRIDE_UNIT), STRIDE_UNIT);
  }

  private static long bytes(int rows, int stride, int elementBytes) {
    return Math.multiplyExact(Math.multiplyExact((long) rows, stride), elementBytes);
  }

  /** Most tokens of a step. */
  int rows() {
    return rows;
  }

  /** Most rows of logits at once. */
  int logitRows() {
    return logitRows;
  }

  /** Residual stream, float [rows, hidden]. */
  MatrixRows residual() {
    return new MatrixRows(residual.range(), hiddenStride);
  }

  /** Output of a norm, fp16 [rows, hidden]. */
  MatrixRows normed() {
    return new MatrixRows(normed.range(), hiddenStride);
  }

  /** Queries, keys, values, fp16, each padded to 64 columns. Gone when {@link #mlp} is written. */
  MatrixRows qkv() {
    return new MatrixRows(wide.range(), qkvStride);
  }

  /** Output of the attention, fp16 [rows, queries]. */
  MatrixRows attended() {
    return new MatrixRows(attended.range(), queryStride);
  }

  /** Gate and up, fp16, each padded to 64 columns. Gone when {@link #qkv} is written. */
  MatrixRows mlp() {
    return new MatrixRows(wide.range(), mlpStride);
  }

  /** A step's input in tiles. */
  InputTiler.Tiled tiled(InputTiler.Kind kind, int tokens, int columns) {
    return new InputTiler.Tiled(kind, tokens, columns, tiled.range());
  }

  /** Logits, float [logitRows, vocab]. */
  MatrixRows logits() {
    return new MatrixRows(logits.range(), vocabStride);
  }

  /** A layer's keys and values as fp16. */
  @Nullable DeviceRange stage() {
    return stage == null ? null : stage.range();
  }

  /** Room for quantized inputs of some width. */
  ActivationCodes codes(int columns) {
    return new ActivationCodes(
        columns,
        sumGroup == 0 ? columns : sumGroup,
        Objects.requireNonNull(codes.codes).range(),
        Objects.requireNonNull(codes.scales).range(),
        Objects.requireNonNull(codes.zeros).range(),
        Objects.requireNonNull(codes.sums).range());
  }

  /** Room for the inputs of some tokens, split. */
  SkinnyGemm.Split split() {
    return new SkinnyGemm.Split(splitParts.range(), splitRuns.range(), splitScales.range());
  }

  /** What columns kept at 16 bits add to a product, float [few rows, widest output]. */
  MatrixRows addends() {
    return new MatrixRows(Objects.requireNonNull(addends).range(), addendStride);
  }

  /** Memory for sums on their way. */
  DeviceRange sums() {
    return sumChains.range();
  }

  DecodeAttention.Scratch attention() {
    return new DecodeAttention.Scratch(attentionPartials.range(), attentionArrivals.range());
  }

  TokenSampler.Scratch sampling() {
    return new TokenSampler.Scratch(
        samplePartials.range(), sampleArrivals.range(), candidates.range());
  }

  /** Memory that must be zeros at first. */
  DeviceRange[] counters() {
    return new DeviceRange[] {attentionArrivals.range(), sampleArrivals.range(), sumChains.range()};
  }
}
