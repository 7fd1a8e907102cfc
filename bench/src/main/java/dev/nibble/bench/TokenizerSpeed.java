package dev.nibble.bench;

import dev.nibble.quantizer.tokenizer.Tokenizer;
import dev.nibble.quantizer.tokenizer.TokenizerFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** The tokenizer that comes with the project, on a book that comes with it. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(3)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class TokenizerSpeed {
  private static final String TEXT = "runtime/src/test/resources/text/alice.txt";

  private Tokenizer tokenizer;
  private String text;
  private int[] ids;

  /**
   * Reads both.
   *
   * @throws IOException if they cannot be read
   */
  @Setup
  public void open() throws IOException {
    tokenizer = TokenizerFiles.open(SourceTree.model());
    text = Files.readString(SourceTree.file(TEXT));
    ids = tokenizer.encode(text, false);
  }

  /**
   * Bytes that one call takes or gives.
   *
   * @return UTF-8 bytes of the text
   * @throws IOException if it cannot be read
   */
  public static long textBytes() throws IOException {
    return Files.size(SourceTree.file(TEXT));
  }

  /**
   * Text to ids.
   *
   * @return the ids
   */
  @Benchmark
  public int[] encode() {
    return tokenizer.encode(text, false);
  }

  /**
   * Ids to text.
   *
   * @return the text
   */
  @Benchmark
  public String decode() {
    return tokenizer.decode(ids);
  }

  /** What was encoded. */
  String text() {
    return text;
  }
}
