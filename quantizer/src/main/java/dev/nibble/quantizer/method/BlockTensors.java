package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.QuantizedLinear;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.LinearRole;
import dev.nibble.quantizer.format.ModuleName;
import dev.nibble.quantizer.format.PackedLayout;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** A quantized block as the tensors of the packed folder. */
final class BlockTensors {
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private BlockTensors() {}

  /** Packs a block. */
  static List<Tensor> of(QuantizedBlock block, TransformerBlock source) {
    List<Tensor> tensors = new ArrayList<>();
    block.linears().forEach((role, linear) -> add(linear, source.name(role), tensors));
    tensors.addAll(block.tensors());
    return tensors;
  }

  /** The errors of a block's linears. */
  static List<LinearError> errors(QuantizedBlock block, TransformerBlock source) {
    List<LinearError> errors = new ArrayList<>();
    for (LinearRole role : block.linears().keySet()) {
      errors.add(new LinearError(source.name(role).name(), block.errors().getOrDefault(role, 0.0)));
    }
    return errors;
  }

  private static void add(QuantizedLinear linear, ModuleName module, List<Tensor> tensors) {
    PackedLayout layout = linear.layout();
    int scaleCount = Math.toIntExact(layout.scaleCount());
    int blockScales = Math.toIntExact(layout.rowBlockScales());
    MemorySegment qweight = bytes(layout.qweightBytes());
    MemorySegment scales = bytes(2L * scaleCount);
    MemorySegment zeros = bytes(scaleCount);
    RowBlock rows = new RowBlock(layout);
    for (int b = 0; b < layout.rowBlocks(); b++) {
      rows.clear();
      fill(linear, b, rows);
      rows.pack(qweight.asSlice(b * layout.rowBlockBytes(), layout.rowBlockBytes()));
      MemorySegment.copy(rows.scales, 0, scales, HALF, 2L * b * blockScales, blockScales);
      MemorySegment.copy(
          rows.zeros, 0, zeros, ValueLayout.JAVA_BYTE, (long) b * blockScales, blockScales);
    }
    tensors.add(tensor(module.qweight(), DType.U8, qweight));
    tensors.add(tensor(module.scales(), DType.F16, scales));
    if (!linear.symmetric()) {
      tensors.add(tensor(module.zeros(), DType.U8, zeros));
    }
  }

  private static void fill(QuantizedLinear linear, int rowBlock, RowBlock rows) {
    PackedLayout layout = linear.layout();
    int first = rowBlock * PackedLayout.ROW_BLOCK;
    int count = Math.min(PackedLayout.ROW_BLOCK, layout.rows() - first);
    for (int r = 0; r < count; r++) {
      System.arraycopy(
          linear.codes(),
          (first + r) * layout.columns(),
          rows.codes,
          r * layout.paddedColumns(),
          layout.columns());
      for (int group = 0; group < layout.groups(); group++) {
        int from = (first + r) * layout.groups() + group;
        int to = Math.toIntExact(layout.scaleIndex(r, group));
        rows.scales[to] = linear.scales()[from];
        rows.zeros[to] = linear.zeros()[from];
      }
    }
  }

  private static Tensor tensor(String name, DType dtype, MemorySegment data) {
    return new Tensor(name, dtype, List.of(data.byteSize() / dtype.bytes()), data);
  }

  private static MemorySegment bytes(long count) {
    return MemorySegment.ofArray(new byte[Math.toIntExact(count)]);
  }
}
