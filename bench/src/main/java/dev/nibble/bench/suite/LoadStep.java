package dev.nibble.bench.suite;

import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.quantizer.format.Checkpoint;
import dev.nibble.quantizer.format.QuantScheme;
import dev.nibble.runtime.engine.Engine;
import dev.nibble.runtime.model.Device;
import dev.nibble.runtime.model.ModelOptions;
import dev.nibble.runtime.model.ModelWeights;
import dev.nibble.runtime.model.SyntheticFolder;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * How fast a packed folder becomes an engine on the GPU, from closed files that the host has just
 * written, and so has in memory, and beside it a plain read of the same files.
 *
 * @param model a synthetic shape
 * @param scheme of its weights
 * @param samples of each
 */
record LoadStep(String model, String scheme, int samples) implements Step {
  private static final int CONTEXT = 512;
  private static final int READ_BYTES = 8 << 20;

  @Override
  public String title() {
    return "loading of " + model + " " + scheme;
  }

  @Override
  public boolean measuresHost() {
    return true;
  }

  @Override
  public List<Measurement> run(Session session) throws IOException, LeftOutException {
    session.requireGpu();
    Path folder = Files.createTempDirectory("nibble-load");
    try {
      long bytes = SyntheticFolder.write(model, QuantScheme.parse(scheme), folder);
      return List.of(
          figure(session, "load", bytes, () -> load(folder)),
          figure(session, "load.read", bytes, () -> read(folder)));
    } finally {
      for (Path file : files(folder)) {
        Files.delete(file);
      }
      Files.delete(folder);
    }
  }

  /** What takes the folder's bytes once. */
  @FunctionalInterface
  private interface Pass {
    void run() throws IOException;
  }

  private Measurement figure(Session session, String name, long bytes, Pass pass)
      throws IOException, LeftOutException {
    pass.run();
    double[] rates = new double[samples];
    for (int i = 0; i < samples; i++) {
      long began = System.nanoTime();
      pass.run();
      rates[i] = (double) bytes / (System.nanoTime() - began);
    }
    return session.ofGpu(
        Kind.MODEL,
        name,
        Map.of("model", model, "scheme", scheme),
        "GB/s",
        Spread.of(rates),
        Work.NONE);
  }

  private static void load(Path folder) throws IOException {
    try (Checkpoint checkpoint = Checkpoint.openUnread(folder);
        Engine engine =
            Engine.create(
                ModelWeights.of(checkpoint),
                Device.cuda(0),
                ModelOptions.DEFAULT.withContextLength(CONTEXT))) {
      if (engine.vocabSize() == 0) {
        throw new IllegalStateException(folder + ": an engine without a vocabulary");
      }
    }
  }

  private static void read(Path folder) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect(READ_BYTES);
    for (Path file : files(folder)) {
      try (FileChannel channel = FileChannel.open(file)) {
        while (channel.read(buffer.clear()) >= 0) {
          // Nothing is done with it.
        }
      }
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }
}
