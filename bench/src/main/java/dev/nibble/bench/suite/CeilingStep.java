package dev.nibble.bench.suite;

import dev.nibble.bench.result.Ceilings;
import dev.nibble.bench.result.Measurement;
import dev.nibble.bench.result.Measurement.Kind;
import dev.nibble.bench.result.Measurement.Spread;
import dev.nibble.bench.result.Measurement.Work;
import dev.nibble.runtime.cuda.CublasLt;
import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.DeviceRange;
import dev.nibble.runtime.cuda.Event;
import dev.nibble.runtime.cuda.Graph;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import dev.nibble.runtime.kernel.KernelCatalog;
import dev.nibble.runtime.kernel.ReadStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

/**
 * What the GPU itself can do, timed with events: a plain read of memory, a copy, and what a kernel
 * that does nothing takes in a graph; where cuBLASLt is installed, its fp16 products. The rate of
 * 8-bit products is not measured yet.
 *
 * @param megabytes that are read and copied at once; many times the cache
 * @param samples of each
 */
record CeilingStep(int megabytes, int samples) implements Step {
  private static final long MEGA = 1L << 20;

  /** An idle GPU's clocks take this many passes to rise. */
  private static final int WARM_UPS = 100;

  private static final int NODES = 1000;
  private static final int PRODUCT = 8192;
  private static final int BLOCKS_OF_A_MULTIPROCESSOR = 2;
  private static final long SEED = 5;

  @Override
  public String title() {
    return "ceilings of the GPU";
  }

  @Override
  public List<Measurement> run(Session session) throws LeftOutException {
    session.requireGpu();
    try (Device device = Device.open(0)) {
      String architecture = device.properties().imageArchitecture().orElseThrow();
      ReadStream kernel = new ReadStream(new KernelCatalog(device, architecture));
      int blocks = device.properties().multiprocessors() * BLOCKS_OF_A_MULTIPROCESSOR;
      long bytes = megabytes * MEGA;
      Stream stream = device.newStream();
      DeviceBuffer data = device.allocate(bytes);
      DeviceRange sums = DeviceRange.of(device.allocate((long) Integer.BYTES * blocks));
      check(device, stream, kernel, data, blocks, sums);
      data.fill(stream, 0, bytes, (byte) 0x5a);
      DeviceRange all = DeviceRange.of(data);
      Spread read = time(device, stream, () -> kernel.launch(stream, all, blocks, sums));
      long half = bytes / 2;
      Spread copy = time(device, stream, () -> data.copyFrom(stream, 0, data, half, half));
      DeviceRange nothing = all.slice(0, 0);
      Graph graph =
          stream.capture(() -> {
            for (int i = 0; i < NODES; i++) {
              kernel.launch(stream, nothing, 1, sums);
            }
          });
      Spread nodes = time(device, stream, () -> graph.launch(stream));
      List<Measurement> found = new ArrayList<>();
      found.add(ceiling(session, Ceilings.READ, "GB/s", rate(read, bytes)));
      found.add(ceiling(session, "copy", "GB/s", rate(copy, bytes)));
      found.add(ceiling(session, "graph_node", "us", nodes.times(1e3 / NODES)));
      Optional<Spread> products = products(device, stream, data);
      if (products.isPresent()) {
        found.add(ceiling(session, Ceilings.FP16, "TFLOP/s", products.get()));
      }
      return found;
    }
  }

  /** Rate of cuBLASLt's fp16 products, a square one of {@value #PRODUCT}; none without it. */
  private Optional<Spread> products(Device device, Stream stream, DeviceBuffer data) {
    Optional<CublasLt> library = CublasLt.open(device);
    if (library.isEmpty()) {
      return Optional.empty();
    }
    long bytes = (long) Short.BYTES * PRODUCT * PRODUCT;
    try (CublasLt blas = library.get();
        DeviceBuffer x = device.allocate(bytes);
        DeviceBuffer y = device.allocate(bytes);
        CublasLt.Product product = blas.product(PRODUCT, PRODUCT, PRODUCT)) {
      x.fill(stream, 0, bytes, (byte) 0x2a);
      double teraOperations = 2.0 * PRODUCT * PRODUCT * PRODUCT / 1e12;
      Spread spent = time(device, stream, () -> product.multiply(stream, data, x, y));
      return Optional.of(perSecond(spent, teraOperations));
    }
  }

  private static Measurement ceiling(Session session, String name, String unit, Spread value)
      throws LeftOutException {
    return session.ofGpu(Kind.CEILING, name, Map.of(), unit, value, Work.NONE);
  }

  /** A copy's bytes count both ways, so a copy of half moves all. */
  private static Spread rate(Spread milliseconds, long bytes) {
    return perSecond(milliseconds, bytes / 1e9);
  }

  private static Spread perSecond(Spread milliseconds, double amount) {
    return new Spread(
        amount * 1e3 / milliseconds.median(),
        amount * 1e3 / milliseconds.max(),
        amount * 1e3 / milliseconds.min(),
        milliseconds.samples());
  }

  /** Milliseconds of some work. */
  private Spread time(Device device, Stream stream, Runnable work) {
    Event start = device.newEvent(Event.Timing.KEPT);
    Event end = device.newEvent(Event.Timing.KEPT);
    double[] milliseconds = new double[samples];
    for (int i = -WARM_UPS; i < samples; i++) {
      stream.record(start);
      work.run();
      stream.record(end);
      end.synchronize();
      if (i >= 0) {
        milliseconds[i] = end.millisecondsSince(start);
      }
    }
    return Spread.of(milliseconds);
  }

  /** Reads random words, and compares their sum with the host's. */
  private static void check(
      Device device,
      Stream stream,
      ReadStream kernel,
      DeviceBuffer data,
      int blocks,
      DeviceRange sums) {
    int bytes = 3 * 1000 * 16; // no multiple of a block's share
    PinnedBuffer host = device.allocatePinned(Math.max(bytes, sums.bytes()));
    MemorySegment words = host.segment();
    Random random = new Random(SEED);
    int expected = 0;
    for (long at = 0; at < bytes; at += Integer.BYTES) {
      int word = random.nextInt();
      words.set(ValueLayout.JAVA_INT, at, word);
      expected ^= word;
    }
    data.upload(stream, 0, host, 0, bytes);
    kernel.launch(stream, new DeviceRange(data, 0, bytes), blocks, sums);
    sums.download(stream, host, 0, sums.bytes());
    stream.synchronize();
    int found = 0;
    for (long at = 0; at < sums.bytes(); at += Integer.BYTES) {
      found ^= words.get(ValueLayout.JAVA_INT, at);
    }
    if (found != expected) {
      throw new IllegalStateException("read_stream: xor " + found + ", expected " + expected);
    }
  }
}
