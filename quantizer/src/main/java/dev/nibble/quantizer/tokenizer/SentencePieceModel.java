package dev.nibble.quantizer.tokenizer;

import dev.nibble.quantizer.format.ModelFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a SentencePiece {@code tokenizer.model} says: a byte-pair model that leaves characters as
 * they are. Field numbers are those of sentencepiece_model.proto.
 *
 * @param pieces by id
 * @param ids of the pieces' texts
 * @param unknown id of the one unknown piece
 * @param bos text of the beginning-of-text piece
 * @param unknownSurface what the unknown piece decodes to
 * @param byteFallback whether unknown characters are spelled in byte pieces
 * @param normalizer what is done to text before it is split
 */
record SentencePieceModel(
    List<Piece> pieces,
    Map<String, Integer> ids,
    int unknown,
    String bos,
    String unknownSurface,
    boolean byteFallback,
    Normalizer normalizer) {

  /** One piece. */
  record Piece(String text, float score, PieceType type) {}

  /** The kinds of pieces, in the order of their numbers from 1. */
  enum PieceType {
    NORMAL,
    UNKNOWN,
    CONTROL,
    USER_DEFINED,
    UNUSED,
    BYTE
  }

  /** The part of normalizer_spec that LLaMA-like models use. */
  record Normalizer(
      boolean addDummyPrefix, boolean removeExtraWhitespaces, boolean escapeWhitespaces) {}

  private static final List<PieceType> TYPES = List.of(PieceType.values());
  private static final int BYTE_PAIR_MODEL = 2;
  private static final int UNIGRAM_MODEL = 1;
  private static final List<String> MODEL_TYPES = List.of("?", "unigram", "bpe", "word", "char");

  /** Reads and checks a file. */
  static SentencePieceModel read(Path file) throws IOException {
    return read(file, TokenizerLimits.read(file));
  }

  /** Reads and checks the bytes of a file, which is named in errors only. */
  static SentencePieceModel read(Path file, byte[] bytes) throws ModelFormatException {
    return new Reader(file).read(ByteBuffer.wrap(bytes));
  }

  /** The byte a byte piece such as {@code <0x0A>} stands for, or -1. */
  static int byteOf(String piece) {
    if (piece.length() != 6 || !piece.startsWith("<0x") || piece.charAt(5) != '>') {
      return -1;
    }
    int high = "0123456789ABCDEF".indexOf(piece.charAt(3));
    int low = "0123456789ABCDEF".indexOf(piece.charAt(4));
    return high < 0 || low < 0 ? -1 : high << 4 | low;
  }

  /** The fields as they come; a later field of one number replaces an earlier one. */
  private static final class Reader {
    private final Path file;
    private final List<Piece> pieces = new ArrayList<>();
    private long modelType = UNIGRAM_MODEL;
    private boolean byteFallback;
    private boolean whitespaceAsSuffix;
    private String bos = "<s>";
    private String unknownSurface = " \u2047 ";
    private @Nullable Normalizer normalizer;

    Reader(Path file) {
      this.file = file;
    }

    SentencePieceModel read(ByteBuffer bytes) throws ModelFormatException {
      ProtobufReader model = new ProtobufReader(file, bytes);
      for (int field = model.nextField(); field != 0; field = model.nextField()) {
        switch (field) {
          case 1 -> addPiece(model.readMessage());
          case 2 -> readTrainer(model.readMessage());
          case 3 -> normalizer = readNormalizer("normalizer_spec", model.readMessage());
          case 5 -> readNormalizer("denormalizer_spec", model.readMessage());
          default -> model.skip();
        }
      }
      return checked();
    }

    private void addPiece(ProtobufReader message) throws ModelFormatException {
      String text = "";
      float score = 0;
      long type = 1;
      for (int field = message.nextField(); field != 0; field = message.nextField()) {
        switch (field) {
          case 1 -> text = message.readString();
          case 2 -> score = message.readFloat();
          case 3 -> type = message.readVarint();
          default -> message.skip();
        }
      }
      String name = "pieces[" + pieces.size() + "]";
      if (pieces.size() == TokenizerLimits.MAX_TOKENS) {
        throw refused("pieces", "more than " + TokenizerLimits.MAX_TOKENS + " pieces");
      }
      TokenizerLimits.checkToken(file, name, text);
      if (!Float.isFinite(score)) {
        throw refused(name + ".score", "expected a finite number, found " + score);
      }
      if (type < 1 || type > TYPES.size()) {
        throw refused(name + ".type", "expected 1 to " + TYPES.size() + ", found " + type);
      }
      pieces.add(new Piece(text, score, TYPES.get((int) type - 1)));
    }

    private void readTrainer(ProtobufReader message) throws ModelFormatException {
      for (int field = message.nextField(); field != 0; field = message.nextField()) {
        switch (field) {
          case 3 -> modelType = message.readVarint();
          case 24 -> whitespaceAsSuffix = message.readVarint() != 0;
          case 35 -> byteFallback = message.readVarint() != 0;
          case 44 -> unknownSurface = message.readString();
          case 46 -> bos = message.readString();
          default -> message.skip();
        }
      }
    }

    private Normalizer readNormalizer(String spec, ProtobufReader message)
        throws ModelFormatException {
      String name = "";
      boolean charsmap = false;
      boolean addDummyPrefix = true;
      boolean removeExtraWhitespaces = true;
      boolean escapeWhitespaces = true;
      for (int field = message.nextField(); field != 0; field = message.nextField()) {
        switch (field) {
          case 1 -> name = message.readString();
          case 2 -> charsmap = message.readBytes().hasRemaining();
          case 3 -> addDummyPrefix = message.readVarint() != 0;
          case 4 -> removeExtraWhitespaces = message.readVarint() != 0;
          case 5 -> escapeWhitespaces = message.readVarint() != 0;
          default -> message.skip();
        }
      }
      if (charsmap) {
        throw refused(
            spec + ".precompiled_charsmap",
            "the normalizer \"" + name + "\" changes characters; only \"identity\" is supported");
      }
      return new Normalizer(addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces);
    }

    private SentencePieceModel checked() throws ModelFormatException {
      if (modelType != BYTE_PAIR_MODEL) {
        String found =
            modelType > 0 && modelType < MODEL_TYPES.size()
                ? MODEL_TYPES.get((int) modelType)
                : Long.toString(modelType);
        throw refused(
            "trainer_spec.model_type", "the model type " + found + " is not supported, only bpe");
      }
      if (whitespaceAsSuffix) {
        throw refused("trainer_spec.treat_whitespace_as_suffix", "true is not supported");
      }
      if (normalizer == null) {
        throw refused("normalizer_spec", "missing; the file is truncated or damaged");
      }
      Map<String, Integer> ids = HashMap.newHashMap(pieces.size());
      BitSet bytes = new BitSet(256);
      int unknown = -1;
      for (int id = 0; id < pieces.size(); id++) {
        Piece piece = pieces.get(id);
        String name = "pieces[" + id + "]";
        Integer earlier = ids.putIfAbsent(piece.text(), id);
        if (earlier != null) {
          throw refused(name, "the same text as pieces[" + earlier + "]");
        }
        switch (piece.type()) {
          case NORMAL, CONTROL, USER_DEFINED -> {}
          case UNUSED -> throw refused(name + ".type", "UNUSED pieces are not supported");
          case UNKNOWN -> {
            if (unknown >= 0) {
              throw refused(
                  name + ".type", "a second UNKNOWN piece beside pieces[" + unknown + "]");
            }
            unknown = id;
          }
          case BYTE -> {
            int value = byteOf(piece.text());
            if (value < 0 || !byteFallback) {
              throw refused(name, "a BYTE piece needs byte_fallback and a text like <0x0A>");
            }
            bytes.set(value);
          }
        }
      }
      if (unknown < 0) {
        throw refused("pieces", "no piece of type UNKNOWN");
      }
      if (byteFallback && bytes.cardinality() != 256) {
        throw refused(
            "pieces", "byte_fallback needs 256 BYTE pieces, found " + bytes.cardinality());
      }
      return new SentencePieceModel(
          List.copyOf(pieces), ids, unknown, bos, unknownSurface, byteFallback, normalizer);
    }

    private ModelFormatException refused(String field, String problem) {
      return new ModelFormatException(file, field, problem);
    }
  }
}
