package dev.nibble.kernels;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZInputStream;
import org.tukaani.xz.XZOutputStream;

/**
 * The committed PTX of all kernels, for builds without the CUDA compiler: one stream of {@link
 * PtxText}s, each after a line {@code #ARCHITECTURE NAME}, compressed together, and beside it the
 * SHA-256 of the sources that it was compiled from.
 */
final class PtxArchive {
  private static final String ARCHIVE = "kernels.xz";
  private static final String SOURCES = "sources.sha256";
  private static final String TITLE = "#";

  private PtxArchive() {}

  /**
   * {@code unpack FOLDER IMAGES} writes the archive's images to IMAGES where the build has none of
   * its own; {@code pack IMAGES FOLDER} makes the archive; {@code digest NATIVE FOLDER} writes the
   * SHA-256 of the sources beside it.
   */
  static void main(String[] arguments) throws IOException {
    Path first = Path.of(arguments[1]);
    Path second = Path.of(arguments[2]);
    switch (arguments[0]) {
      case "unpack" -> {
        if (Files.notExists(second.resolve("catalog"))) {
          write(read(first), second);
        }
      }
      case "pack" -> pack(first, second);
      case "digest" -> Files.writeString(second.resolve(SOURCES), digest(first) + "\n");
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  /** Reads all images of the archive in a folder. */
  static Map<KernelImage, String> read(Path folder) throws IOException {
    String stream;
    try (XZInputStream in = new XZInputStream(Files.newInputStream(folder.resolve(ARCHIVE)))) {
      stream = new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
    Map<KernelImage, String> images = new LinkedHashMap<>();
    for (String part : stream.split("(?m)^" + TITLE, -1)) {
      int end = part.indexOf('\n');
      if (end > 0) {
        images.put(
            KernelImages.parse(part.substring(0, end)).getFirst(),
            PtxText.unpack(part.substring(end + 1)));
      }
    }
    return images;
  }

  /** The digest of the sources that the archive in a folder was compiled from. */
  static String packedDigest(Path folder) throws IOException {
    return Files.readString(folder.resolve(SOURCES)).strip();
  }

  private static void write(Map<KernelImage, String> images, Path folder) throws IOException {
    StringBuilder catalog = new StringBuilder();
    for (Map.Entry<KernelImage, String> image : images.entrySet()) {
      Path file = folder.resolve(image.getKey().architecture()).resolve(image.getKey().name());
      Files.createDirectories(file.getParent());
      Files.writeString(file, image.getValue());
      catalog
          .append(image.getKey().architecture())
          .append(' ')
          .append(image.getKey().name())
          .append('\n');
    }
    Files.writeString(folder.resolve("catalog"), catalog);
  }

  private static void pack(Path images, Path folder) throws IOException {
    List<KernelImage> listed = KernelImages.parse(Files.readString(images.resolve("catalog")));
    LZMA2Options options = new LZMA2Options(LZMA2Options.PRESET_MAX);
    options.setNiceLen(LZMA2Options.NICE_LEN_MAX);
    options.setDepthLimit(512);
    // Text: no alignment, the letter before tells more.
    options.setPb(0);
    options.setLcLp(LZMA2Options.LC_LP_MAX, 0);
    try (XZOutputStream out =
        new XZOutputStream(Files.newOutputStream(folder.resolve(ARCHIVE)), options)) {
      for (KernelImage image : listed) {
        Path file = images.resolve(image.architecture()).resolve(image.name());
        String title = TITLE + image.architecture() + ' ' + image.name() + '\n';
        String code = PtxText.pack(Files.readString(file));
        out.write((title + code).getBytes(StandardCharsets.UTF_8));
      }
    }
  }

  /**
   * SHA-256 of all that decides what the images are: kernels, headers and how they are compiled.
   *
   * @param folder this module's
   */
  static String digest(Path folder) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
    try (Stream<Path> sources = Files.list(folder.resolve("src"));
        Stream<Path> headers = Files.list(folder.resolve("include"))) {
      List<Path> files =
          Stream.concat(
                  Stream.of(folder.resolve("compile-images"), folder.resolve("pack-ptx")),
                  Stream.concat(sources.filter(Files::isRegularFile), headers))
              .sorted()
              .toList();
      for (Path file : files) {
        byte[] content = Files.readAllBytes(file);
        digest.update(
            (file.getFileName() + " " + content.length + "\n").getBytes(StandardCharsets.UTF_8));
        digest.update(content);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
