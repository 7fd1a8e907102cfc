package dev.nibble.quantizer.calibration;

import java.util.List;

/**
 * Runs windows through a block site by site, while the block's linears change: those of a site may
 * be replaced once all windows have been read there, and what they have become shows in the inputs
 * of the next. Between two sites a window's state is kept, as large as its inputs, so that no
 * attention is computed twice. One thread drives an instance.
 */
public final class SequentialPass {
  private static final List<InputSite> SITES = List.of(InputSite.values());

  private final BlockForward forward;
  private final TransformerBlock block;
  private final BlockPrecision precision;
  private final HiddenStates x;

  /** Windows' inputs of o, and once those of the MLP are known the residual stream there. */
  private final float[][] kept;

  /** How many sites each window was read at. */
  private final int[] sites;

  /** Takes a window's inputs of a site. */
  @FunctionalInterface
  public interface Reader {
    /**
     * The inputs are known.
     *
     * @param inputs [context, width] as the linears read them; valid during the call, and not to be
     *     changed
     */
    void read(float[] inputs);
  }

  /**
   * Creates a pass.
   *
   * @param forward runs the block
   * @param block the block; its linears may be replaced on the way
   * @param precision how its activations are rounded
   * @param x the block's inputs
   */
  public SequentialPass(
      BlockForward forward, TransformerBlock block, BlockPrecision precision, HiddenStates x) {
    this.forward = forward;
    this.block = block;
    this.precision = precision;
    this.x = x;
    kept = new float[x.windows()][0];
    sites = new int[x.windows()];
  }

  /**
   * Channels at a site.
   *
   * @param site the site
   * @return the width of its inputs
   */
  public int width(InputSite site) {
    return site.width(block.config());
  }

  /**
   * Runs a window to a site.
   *
   * @param site the first, or the one after that which the window was read at last
   * @param window index of the window
   * @param reader takes the site's inputs
   * @throws IllegalStateException if the window was read at it already, or not at the one before
   */
  public void read(InputSite site, int window, Reader reader) {
    require(window, SITES.indexOf(site));
    BlockPass pass = forward.pass(block);
    int rows = forward.context();
    copy(x.window(window), pass.x);
    switch (site) {
      case ATTENTION -> pass.reach(site, block, precision, rows);
      case OUTPUT -> {
        pass.forward(block, precision, rows, site);
        kept[window] = pass.outputInput.clone();
      }
      case MLP -> {
        copy(kept[window], pass.outputInput);
        pass.reach(site, block, precision, rows);
        kept[window] = pass.middle.clone();
      }
      case DOWN -> {
        copy(kept[window], pass.middle);
        pass.reachDown(block, precision, rows);
      }
    }
    sites[window]++;
    reader.read(pass.input(site));
  }

  /**
   * Runs every window to the end.
   *
   * @return the block's outputs
   * @throws IllegalStateException if a window has not been read at the last site
   */
  public HiddenStates outputs() {
    float[][] outputs = new float[x.windows()][];
    BlockPass pass = forward.pass(block);
    for (int window = 0; window < outputs.length; window++) {
      require(window, SITES.size());
      copy(kept[window], pass.middle);
      pass.reachDown(block, precision, forward.context());
      pass.finish(block, forward.context());
      outputs[window] = pass.y.clone();
    }
    return new HiddenStates(outputs);
  }

  private void require(int window, int expected) {
    if (sites[window] != expected) {
      throw new IllegalStateException(
          "window %d was read at %d sites, expected %d".formatted(window, sites[window], expected));
    }
  }

  private static void copy(float[] from, float[] to) {
    System.arraycopy(from, 0, to, 0, to.length);
  }
}
