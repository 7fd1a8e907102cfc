package dev.nibble.quantizer.method;

import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.format.TensorInfo;
import dev.nibble.quantizer.format.TensorNames;
import dev.nibble.quantizer.method.QuantizationPlan.Copy;
import dev.nibble.quantizer.method.QuantizationPlan.Pack;
import dev.nibble.quantizer.method.QuantizationPlan.Ready;
import dev.nibble.quantizer.method.QuantizationPlan.Step;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A plan in which calibrated blocks' tensors take the place of their sources. A linear's come
 * together where its weight was, a rewritten norm or bias where it was, and what has no source of
 * its own comes last.
 */
final class CalibratedPlan {
  /** Tensors of all blocks that have no place yet, by name. */
  private final Map<String, Made> left = new LinkedHashMap<>();

  /** A tensor, the bundle it is in, and a tensor of the source's same block. */
  private record Made(TensorInfo info, Path bundle, String anchor) {}

  private CalibratedPlan() {}

  static QuantizationPlan of(QuantizationPlan plan, Checkpoint source, ResumeFolder journal)
      throws IOException {
    CalibratedPlan calibrated = new CalibratedPlan();
    int layers = source.config().layers();
    TensorNames names = TensorNames.of(source.config().architecture());
    for (int layer = 0; layer < layers; layer++) {
      calibrated.add(journal.block(layer), names.linear(layer, LinearRole.QUERY).weight());
    }
    List<Step> steps = new ArrayList<>();
    for (Step step : plan.steps()) {
      steps.add(calibrated.place(step, source));
    }
    calibrated.left.values().stream()
        .map(made -> new Ready(made.anchor, 0, List.of(made.info), 0, made.bundle))
        .forEach(steps::add);
    return new QuantizationPlan(steps, plan.keptModules());
  }

  private void add(Path bundle, String anchor) throws IOException {
    for (Tensor tensor : TensorBundle.read(bundle)) {
      if (ResumeFolder.isModelTensor(tensor.name())) {
        TensorInfo info = new TensorInfo(tensor.name(), tensor.dtype(), tensor.shape());
        left.put(tensor.name(), new Made(info, bundle, anchor));
      }
    }
  }

  private Step place(Step step, Checkpoint source) {
    return switch (step) {
      case Ready ready -> ready;
      case Copy copy -> {
        Made made = left.remove(copy.source());
        yield made == null
            ? copy
            : new Ready(copy.source(), copy.sourceBytes(), List.of(made.info), 0, made.bundle);
      }
      case Pack pack -> linear(pack, source);
    };
  }

  private Step linear(Pack pack, Checkpoint source) {
    @Nullable Made codes = left.get(pack.module().qweight());
    if (codes == null) {
      return pack;
    }
    List<TensorInfo> results = new ArrayList<>();
    String prefix = pack.module().name() + ".";
    Iterator<Made> all = left.values().iterator();
    while (all.hasNext()) {
      TensorInfo info = all.next().info;
      if (info.name().startsWith(prefix) && source.find(info.name()).isEmpty()) {
        results.add(info);
        all.remove();
      }
    }
    return new Ready(pack.source(), pack.sourceBytes(), results, pack.weights(), codes.bundle);
  }
}
