package dev.nibble.quantizer.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Named bad files, each refused with a message that names what is wrong, and cheaply. */
class SafetensorsCorpusTest {
  private static final long MAX_ALLOCATED_BYTES = 16 << 20;
  private static final String GOOD = tensor("a", "U8", "[4]", 0, 4);

  @TempDir Path folder;

  static Stream<Arguments> badHeaders() {
    String huge = "9223372036854775807";
    return Stream.of(
        arguments("empty text", "", "expected {"),
        arguments("not an object", "[1]", "expected {"),
        arguments("blank before the object", " {" + GOOD + "}", "expected {"),
        arguments("byte order mark", "\ufeff{" + GOOD + "}", "expected {"),
        arguments("no tensors, but data", "{}", "expected 0 bytes of data"),
        arguments("unfinished", "{" + GOOD, "header"),
        arguments("text after the object", "{" + GOOD + "} x", "header"),
        arguments("a second object", "{" + GOOD + "}{}", "text after"),
        arguments("zeros after the object", "{" + GOOD + "}\0\0", "header"),
        arguments("tensor twice", "{" + GOOD + "," + GOOD + "}", "uplicate"),
        arguments(
            "metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}," + GOOD + "}", "upl"),
        arguments("metadata key twice", "{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", "uplicate"),
        arguments("metadata number", "{\"__metadata__\":{\"k\":1}," + GOOD + "}", "a string"),
        arguments("metadata null", "{\"__metadata__\":{\"k\":null}," + GOOD + "}", "a string"),
        arguments("metadata nested", "{\"__metadata__\":{\"k\":{}}," + GOOD + "}", "a string"),
        arguments("metadata string", "{\"__metadata__\":\"k\"," + GOOD + "}", "an object"),
        arguments("tensor is a number", "{\"a\":1}", "an object"),
        arguments("field twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\"}}", "uplicate"),
        arguments("field unknown", "{\"a\":{\"stride\":[1]}}", "stride"),
        arguments("field missing", "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", "data_offsets"),
        arguments("dtype unknown", "{" + tensor("a", "F8_E4M3", "[4]", 0, 4) + "}", "F8_E4M3"),
        arguments("dtype lower case", "{" + tensor("a", "u8", "[4]", 0, 4) + "}", "u8"),
        arguments("dtype number", "{\"a\":{\"dtype\":3}}", "a string"),
        arguments("shape negative", "{" + tensor("a", "U8", "[-4]", 0, 4) + "}", "-4"),
        arguments("shape fraction", "{" + tensor("a", "U8", "[4.0]", 0, 4) + "}", "an integer"),
        arguments("shape exponent", "{" + tensor("a", "U8", "[4e0]", 0, 4) + "}", "an integer"),
        arguments("shape string", "{" + tensor("a", "U8", "[\"4\"]", 0, 4) + "}", "an integer"),
        arguments("shape nested", "{" + tensor("a", "U8", "[[4]]", 0, 4) + "}", "an integer"),
        arguments("shape null", "{" + tensor("a", "U8", "null", 0, 4) + "}", "an array"),
        arguments(
            "shape of 9", "{" + tensor("a", "U8", "[4,1,1,1,1,1,1,1,1]", 0, 4) + "}", "most 8"),
        arguments("shape 2^63 - 1", "{" + tensor("a", "U8", "[" + huge + "]", 0, 4) + "}", "bytes"),
        arguments(
            "shape 2^63", "{" + tensor("a", "U8", "[9223372036854775808]", 0, 4) + "}", "2^63"),
        arguments(
            "shape 2^64 + 4",
            "{" + tensor("a", "U8", "[18446744073709551620]", 0, 4) + "}",
            "2^63"),
        arguments(
            "product 2^64",
            "{" + tensor("a", "U8", "[4294967296,4294967296]", 0, 4) + "}",
            "63 bits"),
        arguments(
            "product 2^66 + 4",
            "{" + tensor("a", "I32", "[4611686018427387905]", 0, 4) + "}",
            "63 bits"),
        arguments(
            "product of elements",
            "{" + tensor("a", "I64", "[1152921504606846976]", 0, 4) + "}",
            "63 bits"),
        arguments(
            "overflow before a zero",
            "{" + tensor("a", "U8", "[4294967296,4294967296,0]", 0, 4) + "}",
            "63 bits"),
        arguments("offsets turned", "{" + tensor("a", "U8", "[4]", 4, 0) + "}", "data_offsets"),
        arguments("offsets too short", "{" + tensor("a", "U8", "[4]", 0, 3) + "}", "4 bytes"),
        arguments("offsets too long", "{" + tensor("a", "U8", "[4]", 0, 5) + "}", "4 bytes"),
        arguments("offsets three", "{\"a\":{\"data_offsets\":[0,4,4]}}", "at most 2"),
        arguments(
            "offsets one",
            "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4]}}",
            "begin"),
        arguments(
            "offsets past the end", "{" + tensor("a", "U8", "[400]", 0, 400) + "}", "cut short"),
        arguments(
            "offsets near 2^63",
            "{" + tensor("a", "U8", "[" + huge + "]", 0, Long.MAX_VALUE) + "}",
            "cut short"),
        arguments("hole at the start", "{" + tensor("a", "U8", "[3]", 1, 4) + "}", "hole"),
        arguments(
            "hole between",
            "{" + tensor("a", "U8", "[1]", 0, 1) + "," + tensor("b", "U8", "[2]", 2, 4) + "}",
            "hole"),
        arguments("trailing bytes", "{" + tensor("a", "U8", "[3]", 0, 3) + "}", "expected 3 bytes"),
        arguments("overlap", "{" + GOOD + "," + tensor("b", "U8", "[2]", 2, 4) + "}", "overlaps"),
        arguments(
            "same bytes twice",
            "{" + GOOD + "," + tensor("b", "U8", "[4]", 0, 4) + "}",
            "overlaps"),
        arguments(
            "empty tensor inside another",
            "{" + GOOD + "," + tensor("b", "U8", "[0]", 2, 2) + "}",
            "overlaps"),
        arguments("empty name", "{" + tensor("", "U8", "[4]", 0, 4) + "}", "1 to 255"),
        arguments(
            "name of 256", "{" + tensor("n".repeat(256), "U8", "[4]", 0, 4) + "}", "1 to 255"),
        arguments(
            "name of 1 MB", "{" + tensor("n".repeat(1 << 20), "U8", "[4]", 0, 4) + "}", "header"),
        arguments("depth 10,000", "{\"a\":" + "[".repeat(10_000), "an object"),
        arguments("depth in metadata", "{\"__metadata__\":" + "{\"k\":".repeat(10_000), "a string"),
        arguments(
            "number of 1 MB",
            "{" + tensor("a", "U8", "[" + "9".repeat(1 << 20) + "]", 0, 4) + "}",
            "header"),
        arguments("comment", "{/**/" + GOOD + "}", "header"),
        arguments("single quotes", "{'a':{}}", "header"),
        arguments("NaN", "{\"a\":NaN}", "header"),
        arguments("comma at the end", "{" + GOOD + ",}", "header"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("badHeaders")
  void aBadHeaderIsRefused(String name, String header, String expected) throws Exception {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    requireRefused(file(json.length, json, 4), expected);
  }

  @Test
  void namesThatAreNotUtf8AreRefused() throws Exception {
    byte[] json = ("{" + tensor("?", "U8", "[4]", 0, 4) + "}").getBytes(StandardCharsets.UTF_8);
    for (int bad : new int[] {0x80, 0xc0, 0xed, 0xff}) {
      json[2] = (byte) bad;
      requireRefused(file(json.length, json, 4), "UTF-8");
    }
  }

  @ParameterizedTest
  @MethodSource("badLengths")
  void aBadHeaderSizeIsRefused(long length) throws Exception {
    byte[] json = ("{" + GOOD + "}").getBytes(StandardCharsets.UTF_8);
    requireRefused(file(length, json, 4), "header size: expected at most");
  }

  static List<Long> badLengths() {
    return List.of(
        1_000L,
        100_000_001L,
        (long) Integer.MAX_VALUE,
        1L << 32,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        -1L);
  }

  @Test
  void aHeaderOverTheLimitIsRefusedEvenInALargeFile() throws Exception {
    Path path = folder.resolve("sparse.safetensors");
    try (var file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(200_000_000);
      file.writeLong(Long.reverseBytes(100_000_001));
    }
    requireRefused(path, "expected at most 100000000");
  }

  @Test
  void filesShorterThanTheSizeFieldAreRefused() throws Exception {
    for (int length = 0; length < 8; length++) {
      Path path = folder.resolve("short" + length);
      Files.write(path, new byte[length]);
      requireRefused(path, "expected at least 8 bytes");
    }
  }

  @Test
  void aGitLfsPointerIsNamedAsOne() throws Exception {
    Path path = folder.resolve("model.safetensors");
    Files.writeString(
        path,
        "version https://git-lfs.github.com/spec/v1\noid sha256:"
            + "0".repeat(64)
            + "\nsize 134217728\n");
    requireRefused(path, "git lfs pull");
  }

  @Test
  void aFolderInPlaceOfAFileIsRefused() throws Exception {
    requireRefused(Files.createDirectory(folder.resolve("model.safetensors")), "regular file");
  }

  @Test
  void whatTheFormatAllowsIsRead() throws Exception {
    String scalar = tensor("s", "F32", "[]", 4, 8);
    String empty = tensor("e", "F16", "[3,0]", 4, 4);
    String header =
        "{" + scalar + "," + empty + "," + GOOD + ",\"__metadata__\":{\"\u2603\":\"x\"}}  \n";
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    SafetensorsFile read = SafetensorsFile.read(file(json.length, json, 8));
    assertEquals(
        List.of("a", "e", "s"),
        read.header().entries().stream().map(entry -> entry.info().name()).toList());
    assertEquals(1, read.header().entries().getLast().info().elements());
    assertEquals("x", read.header().metadata().get("\u2603"));
    byte[] nothing = "{}".getBytes(StandardCharsets.UTF_8);
    assertTrue(SafetensorsFile.read(file(2, nothing, 0)).header().entries().isEmpty());
  }

  private static String tensor(String name, String dtype, String shape, long begin, long end) {
    return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
        .formatted(name, dtype, shape, begin, end);
  }

  private Path file(long length, byte[] json, int dataBytes) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + dataBytes);
    bytes.order(ByteOrder.LITTLE_ENDIAN).putLong(length).put(json);
    return Files.write(Files.createTempFile(folder, "case", ".safetensors"), bytes.array());
  }

  private static void requireRefused(Path path, String expected) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long before = threads.getCurrentThreadAllocatedBytes();
    ModelFormatException e =
        assertThrows(ModelFormatException.class, () -> SafetensorsFile.read(path));
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    assertTrue(e.getMessage().startsWith(path + ": "), e.getMessage());
    assertTrue(e.getMessage().contains(expected), e.getMessage());
    assertEquals(1, e.getMessage().lines().count(), e.getMessage());
    assertTrue(e.getMessage().length() < 1000, () -> "length " + e.getMessage().length());
    assertTrue(allocated < MAX_ALLOCATED_BYTES, "allocated " + allocated);
  }
}
