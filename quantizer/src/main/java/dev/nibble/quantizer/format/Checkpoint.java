package dev.nibble.quantizer.format;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SequencedSet;

/** A model folder: its config and its tensors, over one safetensors file or an index of several. */
public final class Checkpoint implements TensorSource, AutoCloseable {
  private Checkpoint() {}

  /**
   * Opens and checks a folder; nothing is read of the tensors' data but what checksums need.
   *
   * @param folder a Hugging Face model folder, packed or not
   * @return the checkpoint
   * @throws ModelFormatException if a file breaks its format
   * @throws java.nio.file.NoSuchFileException if the folder or a file of it is missing
   * @throws IOException if reading fails
   */
  public static Checkpoint open(Path folder) throws IOException {
    return later();
  }

  /**
   * The folder.
   *
   * @return its path
   */
  public Path folder() {
    return later();
  }

  /**
   * The model's shape.
   *
   * @return the config
   */
  public ModelConfig config() {
    return later();
  }

  @Override
  public SequencedSet<String> names() {
    return later();
  }

  @Override
  public Optional<Tensor> find(String name) {
    return later();
  }

  @Override
  public void close() {}

  @SuppressWarnings("TypeParameterUnusedInFormals")
  private static <T> T later() {
    throw new IllegalStateException("not written yet");
  }
}
