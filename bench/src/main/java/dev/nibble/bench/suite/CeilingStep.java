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
import java.util.SplittableRandom;

/**
 * What the GPU itself can do, timed with events: a plain read of memory, a copy, a copy from the
 * host, and what a kernel that does nothing takes in a graph; where cuBLASLt is installed, the most
 * that its products of halves and of bytes reach, of some shapes and all algorithms that it
 * advises.
 *
 * @param megabytes that are read and copied at once; many times the cache
 * @param samples of each
 */
record CeilingStep(int megabytes, int samples) implements Step {
  private static final long MEGA = 1L << 20;

  /** An idle GPU's clocks take this many passes to rise. */
  private static final int WARM_UPS = 100;

  private static final int NODES = 1000;
  private static final long UPLOAD_MEGABYTES = 256;

  /** Tokens, rows and columns of products. */
  private static final int[][] PRODUCTS = {
    {8192, 8192, 8192}, {2048, 12288, 4096}, {16384, 8192, 4096}, {2048, 28672, 8192}
  };

  /** Operations of a sample, so that the events beside it do not count. */
  private static final double SAMPLE_OPERATIONS = 2e12;

  private static final int SAMPLES_OF_CHOICE = 3;
  private static final int BLOCKS_OF_A_MULTIPROCESSOR = 2;
  private static final long SEED = 5;

  /** Sign and mantissa of four halves, which get one exponent, as the products' weights have. */
  private static final long HALF_BITS = 0x83ff_83ff_83ff_83ffL;

  private static final long HALF_BIT = 0x2400_2400_2400_2400L;

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
      found.add(ceiling(session, "upload", "GB/s", upload(device, stream, data)));
      Optional<CublasLt> library = CublasLt.open(device);
      if (library.isPresent()) {
        randomize(device, stream, data);
        try (CublasLt blas = library.get()) {
          for (CublasLt.Numbers numbers : CublasLt.Numbers.values()) {
            found.addAll(products(session, blas, numbers, stream, device, all));
          }
        }
      }
      return found;
    }
  }

  /** From pinned memory of the host. */
  private Spread upload(Device device, Stream stream, DeviceBuffer data) {
    long bytes = UPLOAD_MEGABYTES * MEGA;
    try (PinnedBuffer host = device.allocatePinned(bytes)) {
      Runnable once = () -> data.upload(stream, 0, host, 0, bytes);
      return perSecond(time(device, stream, once, SAMPLES_OF_CHOICE, samples), bytes / 1e9);
    }
  }

  /** Random small halves, which are random bytes too: constants take less power. */
  private static void randomize(Device device, Stream stream, DeviceBuffer data) {
    try (PinnedBuffer host = device.allocatePinned(MEGA)) {
      SplittableRandom random = new SplittableRandom(SEED);
      for (long at = 0; at < MEGA; at += Long.BYTES) {
        host.segment().set(ValueLayout.JAVA_LONG, at, (random.nextLong() & HALF_BITS) | HALF_BIT);
      }
      data.upload(stream, 0, host, 0, MEGA);
      for (long at = MEGA; at < data.bytes(); at += Math.min(at, data.bytes() - at)) {
        data.copyFrom(stream, at, data, 0, Math.min(at, data.bytes() - at));
      }
      stream.synchronize();
    }
  }

  /** What the library reaches with each shape, and the most of these. */
  private List<Measurement> products(
      Session session,
      CublasLt blas,
      CublasLt.Numbers numbers,
      Stream stream,
      Device device,
      DeviceRange data)
      throws LeftOutException {
    boolean halves = numbers == CublasLt.Numbers.HALVES;
    String name = halves ? Ceilings.FP16 : Ceilings.INT8;
    String unit = halves ? "TFLOP/s" : "TOP/s";
    int size = halves ? Short.BYTES : Byte.BYTES;
    List<Measurement> found = new ArrayList<>();
    Optional<Spread> most = Optional.empty();
    for (int[] shape : PRODUCTS) {
      int tokens = shape[0];
      int rows = shape[1];
      int columns = shape[2];
      DeviceRange weights = data.slice(0, (long) size * rows * columns);
      DeviceRange x = data.slice(weights.bytes(), (long) size * tokens * columns);
      DeviceRange y = data.slice(weights.bytes() + x.bytes(), (long) size * tokens * rows);
      try (CublasLt.Product product = blas.product(numbers, tokens, rows, columns)) {
        int best = 0;
        double least = Double.MAX_VALUE;
        for (int i = 0; i < product.choices(); i++) {
          int choice = i;
          Runnable once = () -> product.multiply(stream, choice, weights, x, y);
          double time = time(device, stream, once, 1, SAMPLES_OF_CHOICE).median();
          if (time < least) {
            least = time;
            best = i;
          }
        }
        int choice = best;
        double operations = 2.0 * tokens * rows * columns;
        int times = (int) Math.ceil(SAMPLE_OPERATIONS / operations);
        Runnable several =
            () -> {
              for (int i = 0; i < times; i++) {
                product.multiply(stream, choice, weights, x, y);
              }
            };
        Spread spent = time(device, stream, several, SAMPLES_OF_CHOICE, samples);
        Spread rate = perSecond(spent, times * operations / 1e12);
        found.add(
            session.ofGpu(
                Kind.CEILING,
                name + ".product",
                Map.of(
                    "shape",
                    tokens + "x" + rows + "x" + columns,
                    "algorithm",
                    Integer.toString(product.algorithm(choice))),
                unit,
                rate,
                Work.NONE));
        most = Optional.of(most.filter(m -> m.median() >= rate.median()).orElse(rate));
      }
    }
    found.add(ceiling(session, name, unit, most.orElseThrow()));
    return found;
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
    return time(device, stream, work, WARM_UPS, samples);
  }

  private static Spread time(
      Device device, Stream stream, Runnable work, int warmUps, int samples) {
    Event start = device.newEvent(Event.Timing.KEPT);
    Event end = device.newEvent(Event.Timing.KEPT);
    double[] milliseconds = new double[samples];
    for (int i = -warmUps; i < samples; i++) {
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
