package dev.nibble.runtime.cli;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.format.QuantizationConfig;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.runtime.engine.MemoryPlan;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code nibble inspect}: what a model folder holds, without loading it. */
@Command(
    name = "inspect",
    description = "Show a model's architecture, scheme, tensors and memory needs.",
    sortOptions = false)
final class InspectCommand implements Callable<Integer> {
  private final Host host;

  @Mixin private ModelSelection selection = new ModelSelection();

  @Option(
      names = "--context",
      paramLabel = "N",
      defaultValue = "0",
      description =
          "Context to tell the memory for. Default: what the model was made for, 4096 at most.")
  private int context;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  InspectCommand(Host host) {
    this.host = host;
  }

  @Override
  public Integer call() throws IOException {
    ModelOptions options = ModelOptions.DEFAULT.withContextLength(context);
    try (Checkpoint checkpoint = selection.open(host, Checkpoint::open);
        ModelWeights weights = ModelWeights.of(checkpoint)) {
      List<TensorInfo> tensors =
          checkpoint.names().stream().flatMap(name -> checkpoint.info(name).stream()).toList();
      MemoryPlan plan = MemoryPlan.of(weights, options);
      MemoryPlan gpu = MemoryPlan.ofCuda(weights, options);
      if (json) {
        host.results().json(fields(checkpoint, tensors, plan, gpu));
      } else {
        print(checkpoint, tensors, plan, gpu);
      }
    }
    return ExitCode.OK.number();
  }

  private void print(
      Checkpoint checkpoint, List<TensorInfo> tensors, MemoryPlan plan, MemoryPlan gpu)
      throws IOException {
    ModelConfig config = checkpoint.config();
    StringBuilder text = new StringBuilder();
    row(text, "folder", checkpoint.folder().toString());
    row(text, "architecture", config.architecture().name().toLowerCase(Locale.ROOT));
    row(
        text,
        "shape",
        String.format(
            Locale.ROOT,
            "%d layers, hidden %d, %d heads of %d (%d key-value), MLP %d, vocabulary %d%s",
            config.layers(),
            config.hiddenSize(),
            config.heads(),
            config.headDim(),
            config.kvHeads(),
            config.intermediateSize(),
            config.vocabSize(),
            config.tiedEmbeddings() ? ", embedding and head tied" : ""));
    row(text, "context", config.maxPositions() + " tokens at most");
    row(text, "scheme", schemeDetails(config));
    row(text, "memory", memory(plan));
    row(text, "memory on GPU", memory(gpu));
    row(text, "tensors", Integer.toString(tensors.size()));
    int width = tensors.stream().mapToInt(t -> t.name().length()).max().orElse(0);
    for (TensorInfo tensor : tensors) {
      text.append(
          String.format(
              Locale.ROOT,
              "  %-" + Math.max(1, width) + "s  %-4s %s  %s%n",
              tensor.name(),
              tensor.dtype(),
              tensor.shape(),
              Quantities.bytes(tensor.bytes())));
    }
    host.results().text(text.toString());
  }

  private static String memory(MemoryPlan plan) {
    return String.format(
        Locale.ROOT,
        "%s = %s weights + %s cache of %d tokens + %s workspace",
        Quantities.bytes(plan.totalBytes()),
        Quantities.bytes(plan.weightBytes()),
        Quantities.bytes(plan.kvBytes()),
        plan.contextLength(),
        Quantities.bytes(plan.workspaceBytes()));
  }

  private static void row(StringBuilder text, String name, String value) {
    text.append(String.format(Locale.ROOT, "%-14s%s%n", name, value));
  }

  private static String schemeDetails(ModelConfig config) {
    if (config.quantization().isEmpty()) {
      return config.scheme() + ", not quantized";
    }
    QuantizationConfig quantization = config.quantization().get();
    return String.format(
        Locale.ROOT,
        "%s by %s, %.4f bits a weight, head %d bits, format %d",
        quantization.scheme(),
        quantization.method(),
        quantization.bitsPerWeight(),
        quantization.scheme().headBits(),
        quantization.formatVersion());
  }

  private static Map<String, Object> fields(
      Checkpoint checkpoint, List<TensorInfo> tensors, MemoryPlan plan, MemoryPlan gpu) {
    ModelConfig config = checkpoint.config();
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("folder", checkpoint.folder().toString());
    fields.put("architecture", config.architecture().name().toLowerCase(Locale.ROOT));
    fields.put("layers", config.layers());
    fields.put("hidden_size", config.hiddenSize());
    fields.put("intermediate_size", config.intermediateSize());
    fields.put("heads", config.heads());
    fields.put("kv_heads", config.kvHeads());
    fields.put("head_dim", config.headDim());
    fields.put("vocab_size", config.vocabSize());
    fields.put("max_positions", config.maxPositions());
    fields.put("tied_embeddings", config.tiedEmbeddings());
    fields.put("scheme", config.scheme().toString());
    config
        .quantization()
        .ifPresent(quantization -> {
          fields.put("method", quantization.method());
          fields.put("bits_per_weight", quantization.bitsPerWeight());
          fields.put("format_version", quantization.formatVersion());
        });
    fields.put("context", plan.contextLength());
    fields.put("weight_bytes", plan.weightBytes());
    fields.put("kv_bytes_per_token", plan.kvBytesPerToken());
    fields.put("kv_bytes", plan.kvBytes());
    fields.put("workspace_bytes", plan.workspaceBytes());
    fields.put("total_bytes", plan.totalBytes());
    fields.put("gpu_bytes", gpu.totalBytes());
    fields.put(
        "tensors",
        tensors.stream()
            .map(t ->
                Map.of(
                    "name", t.name(),
                    "dtype", t.dtype().name(),
                    "shape", t.shape(),
                    "bytes", t.bytes()))
            .toList());
    return fields;
  }
}
