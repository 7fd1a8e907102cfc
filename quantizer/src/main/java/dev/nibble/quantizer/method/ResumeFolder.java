package dev.nibble.quantizer.method;

import dev.nibble.quantizer.calibration.BlockCalibration;
import dev.nibble.quantizer.calibration.HiddenStates;
import dev.nibble.quantizer.calibration.QuantizedBlock;
import dev.nibble.quantizer.calibration.TransformerBlock;
import dev.nibble.quantizer.format.DType;
import dev.nibble.quantizer.format.Tensor;
import dev.nibble.quantizer.method.FolderQuantizer.LinearError;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a calibration has done, in {@code DESTINATION.resume}: the settings it runs with, a bundle
 * of finished tensors for each block, and the inputs of the next block. It is whole after any kill:
 * the file with the inputs is replaced last, and says how many blocks count.
 */
final class ResumeFolder implements BlockCalibration.Journal {
  private static final String SETTINGS = "settings.txt";
  private static final String STATE = "state";
  private static final String BLOCKS = "blocks";
  private static final String FULL = "full";
  private static final String QUANTIZED = "quantized";
  private static final String LOSS = ".loss";
  private static final String ERROR = ".error";
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final Path folder;
  private final int layers;
  private final BlockListener listener;

  /** Hears of finished blocks, those of an earlier run included. */
  @FunctionalInterface
  interface BlockListener {
    void done(int block, double loss, List<LinearError> errors);
  }

  private ResumeFolder(Path folder, int layers, BlockListener listener) {
    this.folder = folder;
    this.layers = layers;
    this.listener = listener;
  }

  /**
   * Makes the folder, in place of one that is there.
   *
   * @param settings everything the result depends on, a line each
   */
  static ResumeFolder create(Path folder, List<String> settings, int layers, BlockListener listener)
      throws IOException {
    // What is left if this is cut short must not pass for a run's.
    Files.deleteIfExists(folder.resolve(SETTINGS));
    DestinationFolder.delete(folder);
    Files.createDirectory(folder);
    Path fresh = folder.resolve(SETTINGS + ".new");
    Files.write(fresh, settings, StandardCharsets.UTF_8);
    Files.move(fresh, folder.resolve(SETTINGS));
    return new ResumeFolder(folder, layers, listener);
  }

  /**
   * Opens the folder of an interrupted run, or makes it if there is none.
   *
   * @throws IllegalArgumentException if that run had other settings
   */
  static ResumeFolder open(Path folder, List<String> settings, int layers, BlockListener listener)
      throws IOException {
    Path file = folder.resolve(SETTINGS);
    if (!Files.exists(file)) {
      return create(folder, settings, layers, listener);
    }
    List<String> before = Files.readAllLines(file, StandardCharsets.UTF_8);
    for (int i = 0; i < Math.max(before.size(), settings.size()); i++) {
      String then = i < before.size() ? before.get(i) : "nothing";
      String now = i < settings.size() ? settings.get(i) : "nothing";
      if (!then.equals(now)) {
        throw new IllegalArgumentException(
            "--resume: the interrupted run had "
                + then
                + ", this one has "
                + now
                + "; give the same settings, or start again without --resume");
      }
    }
    return new ResumeFolder(folder, layers, listener);
  }

  /** The bundle of a block. */
  Path block(int layer) {
    return folder.resolve(String.format("block-%05d", layer));
  }

  @Override
  public Optional<BlockCalibration.State> resume() throws IOException {
    Path file = folder.resolve(STATE);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    List<Tensor> tensors = TensorBundle.read(file);
    int blocks = Math.toIntExact(tensors.getFirst().data().get(LONG, 0));
    List<float[]> full = new ArrayList<>();
    List<float[]> quantized = new ArrayList<>();
    for (Tensor tensor : tensors.subList(1, tensors.size())) {
      (tensor.name().equals(FULL) ? full : quantized).add(tensor.toFloats());
    }
    for (int layer = 0; layer < blocks; layer++) {
      announce(layer, TensorBundle.read(block(layer)));
    }
    return Optional.of(new BlockCalibration.State(blocks, states(full), states(quantized)));
  }

  @Override
  public void blockDone(
      QuantizedBlock block, TransformerBlock source, double loss, BlockCalibration.State after)
      throws IOException {
    List<Tensor> tensors = new ArrayList<>(BlockTensors.of(block, source));
    tensors.add(number(LOSS, Double.doubleToRawLongBits(loss)));
    for (LinearError error : BlockTensors.errors(block, source)) {
      tensors.add(number(error.name() + ERROR, Double.doubleToRawLongBits(error.relativeError())));
    }
    TensorBundle.write(block(source.layer()), tensors);
    List<Tensor> state = new ArrayList<>(List.of(number(BLOCKS, after.blocks())));
    if (after.blocks() < layers) {
      addStates(FULL, after.full(), state);
      addStates(QUANTIZED, after.quantized(), state);
    }
    TensorBundle.write(folder.resolve(STATE), state);
    announce(source.layer(), tensors);
  }

  /** Whether a bundle's tensor is part of the model. */
  static boolean isModelTensor(String name) {
    return !name.equals(LOSS) && !name.endsWith(ERROR);
  }

  private void announce(int layer, List<Tensor> tensors) {
    double loss = Double.NaN;
    List<LinearError> errors = new ArrayList<>();
    for (Tensor tensor : tensors) {
      String name = tensor.name();
      if (!isModelTensor(name)) {
        double value = Double.longBitsToDouble(tensor.data().get(LONG, 0));
        if (name.equals(LOSS)) {
          loss = value;
        } else {
          errors.add(new LinearError(name.substring(0, name.length() - ERROR.length()), value));
        }
      }
    }
    listener.done(layer, loss, errors);
  }

  private static HiddenStates states(List<float[]> windows) {
    return new HiddenStates(windows.toArray(new float[0][]));
  }

  private static void addStates(String name, HiddenStates states, List<Tensor> tensors) {
    for (int w = 0; w < states.windows(); w++) {
      float[] window = states.window(w);
      tensors.add(
          new Tensor(
              name, DType.F32, List.of((long) window.length), MemorySegment.ofArray(window)));
    }
  }

  private static Tensor number(String name, long bits) {
    MemorySegment data = MemorySegment.ofArray(new byte[Long.BYTES]);
    data.set(LONG, 0, bits);
    return new Tensor(name, DType.I64, List.of(1L), data);
  }
}
