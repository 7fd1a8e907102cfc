package dev.nibble.quantizer.tokenizer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Opens the tokenizer of a model folder. */
public final class TokenizerFiles {
  private TokenizerFiles() {}

  /**
   * Reads a folder's {@code tokenizer.json} or, where there is none, its {@code tokenizer.model} or
   * its {@code vocab.json} with {@code merges.txt}.
   *
   * @param folder a Hugging Face model folder
   * @return its tokenizer
   * @throws dev.nibble.quantizer.format.ModelFormatException if a file is damaged or asks for
   *     something unsupported
   * @throws NoSuchFileException if the folder has none of these
   * @throws IOException if a file cannot be read
   */
  public static Tokenizer open(Path folder) throws IOException {
    TokenizerConfig config = TokenizerConfig.open(folder);
    Path json = folder.resolve("tokenizer.json");
    if (Files.exists(json)) {
      return TokenizerJson.read(json, config);
    }
    Path sentencePiece = folder.resolve("tokenizer.model");
    if (Files.exists(sentencePiece)) {
      return new SentencePieceTokenizer(SentencePieceModel.read(sentencePiece), config);
    }
    Path vocabulary = folder.resolve("vocab.json");
    Path merges = folder.resolve("merges.txt");
    if (Files.exists(vocabulary) && Files.exists(merges)) {
      return TokenizerJson.read(vocabulary, merges, config);
    }
    throw new NoSuchFileException(
        folder.toString(),
        null,
        "no tokenizer.json and no tokenizer.model; copy one from the model's source");
  }
}
