package dev.nibble.quantizer.calibration;

import dev.nibble.quantizer.format.ModelConfig;
import dev.nibble.quantizer.tensor.WorkerThreads;

/**
 * Runs blocks over windows of tokens, a window at a time. The number of threads changes no bit. One
 * thread drives an instance.
 */
public final class BlockForward {
  private final ModelConfig config;
  private final int context;
  private final WorkerThreads workers;
  private BlockPass pass;
  private int reach;

  /** Takes a site's inputs of one window. */
  @FunctionalInterface
  public interface InputListener {
    /**
     * The inputs of a site are known. The arrays are valid during the call and must not be changed.
     *
     * @param site the site
     * @param raw [context, width], before rounding
     * @param rounded as the linears read them
     */
    void inputs(InputSite site, float[] raw, float[] rounded);
  }

  /**
   * Creates an instance.
   *
   * @param config the model
   * @param context tokens of a window
   * @param workers the threads that compute
   */
  public BlockForward(ModelConfig config, int context, WorkerThreads workers) {
    this.config = config;
    this.context = context;
    this.workers = workers;
    reach = config.slidingWindows().getFirst();
    pass = new BlockPass(config, reach, context, 1, workers);
  }

  /**
   * Tokens of a window.
   *
   * @return the context
   */
  public int context() {
    return context;
  }

  /**
   * The threads that compute, for a method's own work between passes.
   *
   * @return the threads
   */
  public WorkerThreads workers() {
    return workers;
  }

  /**
   * y = block(x).
   *
   * @param block the block
   * @param precision how its activations are rounded
   * @param x one window, [context, hidden]
   * @param y receives the output, as x; may be x
   */
  public void run(TransformerBlock block, BlockPrecision precision, float[] x, float[] y) {
    load(block, x);
    pass.forward(block, precision, context, null);
    System.arraycopy(pass.y, 0, y, 0, pass.y.length);
  }

  /**
   * Runs every window.
   *
   * @param block the block
   * @param precision how its activations are rounded
   * @param x inputs
   * @return the outputs
   */
  public HiddenStates run(TransformerBlock block, BlockPrecision precision, HiddenStates x) {
    float[][] windows = new float[x.windows()][];
    for (int w = 0; w < windows.length; w++) {
      windows[w] = new float[x.window(w).length];
      run(block, precision, x.window(w), windows[w]);
    }
    return new HiddenStates(windows);
  }

  /**
   * Runs a window as far as a site, and hands out the inputs of the sites on the way.
   *
   * @param block the block
   * @param precision how its activations are rounded
   * @param x one window, [context, hidden]
   * @param last the last site that is wanted
   * @param listener takes them, in the order of {@link InputSite}
   */
  public void inputs(
      TransformerBlock block,
      BlockPrecision precision,
      float[] x,
      InputSite last,
      InputListener listener) {
    load(block, x);
    pass.forward(block, precision, context, last);
    for (InputSite site : InputSite.values()) {
      if (site.compareTo(last) <= 0) {
        listener.inputs(site, pass.rawInput(site), pass.input(site));
      }
    }
  }

  private void load(TransformerBlock block, float[] x) {
    System.arraycopy(x, 0, pass(block).x, 0, x.length);
  }

  /** The memory of one window, for a block. */
  BlockPass pass(TransformerBlock block) {
    int wanted = config.slidingWindows().get(block.layer());
    if (wanted != reach) {
      reach = wanted;
      pass = new BlockPass(config, reach, context, 1, workers);
    }
    return pass;
  }
}
