package dev.nibble.runtime.cuda;

import dev.nibble.bindings.cuda.cuda_constants;
import java.util.List;

/** What a look for CUDA devices found. */
public sealed interface CudaStatus {
  /**
   * What was found.
   *
   * @return one line
   */
  String summary();

  /**
   * What to do about it.
   *
   * @return one line, empty if nothing is missing
   */
  String advice();

  /**
   * Devices can be opened.
   *
   * @param driver the version it supports
   * @param devices at least one, by ordinal
   */
  record Ready(CudaVersion driver, List<DeviceProperties> devices) implements CudaStatus {
    /** Copies the list. */
    public Ready {
      devices = List.copyOf(devices);
    }

    @Override
    public String summary() {
      return "driver for CUDA " + driver + ", devices: " + devices.size();
    }

    @Override
    public String advice() {
      List<String> without =
          devices.stream()
              .filter(device -> device.imageArchitecture().isEmpty())
              .map(device -> device.name() + " (" + device.capability() + ")")
              .distinct()
              .toList();
      return without.isEmpty()
          ? ""
          : "no kernel image runs on "
              + String.join(", ", without)
              + ": build with the CUDA toolkit "
              + CudaVersion.NEEDED
              + " for an architecture of 8.0 or newer";
    }
  }

  /** There is no driver. */
  record DriverAbsent() implements CudaStatus {
    @Override
    public String summary() {
      return "no driver: " + NativeDriver.LIBRARY + " cannot be loaded";
    }

    @Override
    public String advice() {
      return "to use an NVIDIA GPU, install its driver, release "
          + CudaVersion.NEEDED_RELEASE
          + " or newer (CUDA "
          + CudaVersion.NEEDED
          + ")";
    }
  }

  /**
   * The driver is too old for the kernel images.
   *
   * @param driver the version it supports
   */
  record DriverTooOld(CudaVersion driver) implements CudaStatus {
    @Override
    public String summary() {
      return "driver for CUDA " + driver + ", " + CudaVersion.NEEDED + " is needed";
    }

    @Override
    public String advice() {
      return "update the NVIDIA driver to release " + CudaVersion.NEEDED_RELEASE + " or newer";
    }
  }

  /**
   * The driver sees no GPU.
   *
   * @param driver the version it supports
   */
  record NoDevice(CudaVersion driver) implements CudaStatus {
    @Override
    public String summary() {
      return "driver for CUDA " + driver + ", but no GPU that it can use";
    }

    @Override
    public String advice() {
      return "see that nvidia-smi lists the GPU and that CUDA_VISIBLE_DEVICES does not hide it";
    }
  }

  /**
   * The driver does not start.
   *
   * @param cause what it said
   */
  record Unusable(CudaException cause) implements CudaStatus {
    @Override
    public String summary() {
      return cause.getMessage();
    }

    @Override
    public String advice() {
      int code = cause.code();
      if (code == cuda_constants.CUDA_ERROR_STUB_LIBRARY()) {
        return "the toolkit's stub was loaded as "
            + NativeDriver.LIBRARY
            + ": take its folder out of LD_LIBRARY_PATH";
      }
      if (code == cuda_constants.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH()) {
        return "the driver was updated under a running kernel module: reload it or restart";
      }
      if (code == cuda_constants.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE()) {
        return "the CUDA compatibility package does not serve this GPU: take it out of"
            + " LD_LIBRARY_PATH";
      }
      if (code == cuda_constants.CUDA_ERROR_SYSTEM_NOT_READY()) {
        return "start nvidia-fabricmanager, which machines with NVSwitch need";
      }
      return "see what nvidia-smi and the system log say of the GPU";
    }
  }
}
