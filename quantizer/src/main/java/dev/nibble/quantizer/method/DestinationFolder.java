package dev.nibble.quantizer.method;

import dev.nibble.quantizer.method.FolderQuantizer.Existing;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A model folder in the making. Files go to {@code NAME.partial} beside it, which {@link #commit}
 * renames; a process that dies before leaves the folder as it was. {@code NAME.lock} keeps a second
 * run out, and the system unlocks it when a process dies. A folder to be replaced is called {@code
 * NAME.replaced} for the moment between two renames; a run that died there is undone by the next.
 */
final class DestinationFolder implements AutoCloseable {
  private static final String MODEL_FILE = "config.json";

  /**
   * Lock files this process holds. The system gives a lock to a process, not to a thread, and takes
   * it away when any channel to the file is closed, so a second run must not even open the file.
   */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path parent;
  private final Path folder;
  private final Path partial;
  private final Path replaced;
  private final Path lockFile;
  private final FileChannel lock;
  private boolean closed;

  private DestinationFolder(Path parent, Path folder, Path lockFile, FileChannel lock) {
    this.parent = parent;
    this.folder = folder;
    this.lockFile = lockFile;
    this.lock = lock;
    partial = sibling(folder, ".partial");
    replaced = sibling(folder, ".replaced");
  }

  /** Locks the folder and makes an empty partial one, in place of what a dead run left. */
  @SuppressWarnings("MustBeClosedChecker") // the lock passes to the result
  static DestinationFolder open(Path destination, Existing existing) throws IOException {
    Path folder =
        Files.exists(destination)
            ? destination.toRealPath()
            : destination.toAbsolutePath().normalize();
    Path parent = folder.getParent();
    if (parent == null) {
      throw new FolderExistsException(folder, "expected a folder for a model");
    }
    Files.createDirectories(parent);
    Path lockFile = sibling(folder, ".lock");
    DestinationFolder result =
        new DestinationFolder(parent, folder, lockFile, lock(folder, lockFile));
    boolean opened = false;
    try {
      result.prepare(existing);
      opened = true;
      return result;
    } finally {
      if (!opened) {
        result.unlock();
      }
    }
  }

  /** Where the files go until {@link #commit}. */
  Path partial() {
    return partial;
  }

  /** Where a run that takes long keeps what it has done; it outlives the run. */
  Path resume() {
    return sibling(folder, ".resume");
  }

  /** Where a copy of the source may lie while it is worked on; {@link #close} removes it. */
  Path rotated() {
    return sibling(folder, ".rotated");
  }

  /** Gives the finished folder its name. Its files must be on the disk by now. */
  void commit() throws IOException {
    sync(partial);
    if (isFilled(folder)) {
      Files.move(folder, replaced, StandardCopyOption.ATOMIC_MOVE);
    }
    Files.move(partial, folder, StandardCopyOption.ATOMIC_MOVE);
    sync(parent);
    delete(replaced);
  }

  /** Removes what is not committed and unlocks the folder; closing twice does nothing. */
  @Override
  public void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try {
      delete(partial);
      delete(rotated());
    } finally {
      unlock();
    }
  }

  private void prepare(Existing existing) throws IOException {
    if (Files.exists(replaced)) {
      if (isFilled(folder)) {
        delete(replaced);
      } else {
        Files.move(replaced, folder, StandardCopyOption.ATOMIC_MOVE);
      }
    }
    if (Files.exists(folder) && !Files.isDirectory(folder)) {
      throw new FolderExistsException(folder, "expected a folder or nothing, found a file");
    }
    if (isFilled(folder)) {
      if (existing == Existing.KEEP) {
        throw new FolderExistsException(
            folder, "the folder is not empty; choose another, or have it overwritten");
      }
      if (!Files.exists(folder.resolve(MODEL_FILE))) {
        throw new FolderExistsException(
            folder,
            "only a model folder is overwritten, and this one has no "
                + MODEL_FILE
                + "; choose another, or remove it yourself");
      }
    }
    delete(partial);
    Files.createDirectory(partial);
  }

  private void unlock() throws IOException {
    try (lock) {
      Files.deleteIfExists(lockFile);
    } finally {
      HELD.remove(lockFile);
    }
  }

  private static FileChannel lock(Path folder, Path lockFile) throws IOException {
    if (!HELD.add(lockFile)) {
      throw new FolderBusyException(folder);
    }
    boolean locked = false;
    try {
      FileChannel channel = lockFile(folder, lockFile);
      locked = true;
      return channel;
    } finally {
      if (!locked) {
        HELD.remove(lockFile);
      }
    }
  }

  /**
   * A holder removes the file when it ends. So one that was opened before that and locked after it
   * is no longer the file others see; only a file that was there before and after will do.
   */
  @SuppressWarnings("MustBeClosedChecker")
  private static FileChannel lockFile(Path folder, Path lockFile) throws IOException {
    while (true) {
      Optional<Object> before = identity(lockFile);
      FileChannel channel =
          FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      boolean kept = false;
      try {
        if (channel.tryLock() == null) {
          throw new FolderBusyException(folder);
        }
        kept = before.isPresent() && before.equals(identity(lockFile));
        if (kept) {
          return channel;
        }
      } finally {
        if (!kept) {
          channel.close();
        }
      }
    }
  }

  private static Optional<Object> identity(Path file) throws IOException {
    try {
      Object key = Files.readAttributes(file, BasicFileAttributes.class).fileKey();
      return Optional.of(key == null ? file : key);
    } catch (NoSuchFileException e) {
      return Optional.empty();
    }
  }

  private static boolean isFilled(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return false;
    }
    try (var entries = Files.newDirectoryStream(folder)) {
      return entries.iterator().hasNext();
    }
  }

  private static void sync(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** Removes a folder and what is in it, if it is there. */
  static void delete(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return;
    }
    Files.walkFileTree(
        folder,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
              throws IOException {
            Files.delete(file);
            return FileVisitResult.CONTINUE;
          }

          @Override
          public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException problem)
              throws IOException {
            if (problem != null) {
              throw problem;
            }
            Files.delete(directory);
            return FileVisitResult.CONTINUE;
          }
        });
  }

  private static Path sibling(Path folder, String suffix) {
    return folder.resolveSibling(folder.getFileName() + suffix);
  }
}
