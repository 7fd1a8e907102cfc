package dev.nibble.runtime;

import dev.nibble.runtime.cuda.Device;
import dev.nibble.runtime.cuda.DeviceBuffer;
import dev.nibble.runtime.cuda.Dim3;
import dev.nibble.runtime.cuda.Kernel;
import dev.nibble.runtime.cuda.LaunchConfig;
import dev.nibble.runtime.cuda.PinnedBuffer;
import dev.nibble.runtime.cuda.Stream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** The README's example of CUDA from Java without a language model. */
final class CudaExample {
  /** Kernel twice(struct { float* x; int count; }): x[i] += x[i]. */
  static final byte[] PTX =
      """
      .version 9.0
      .target sm_80
      .address_size 64
      .visible .entry twice(.param .align 8 .b8 args[16]) {
        .reg .pred %p<2>;
        .reg .b32 %r<6>;
        .reg .f32 %f<3>;
        .reg .b64 %rd<5>;
        ld.param.u64 %rd1, [args];
        ld.param.u32 %r1, [args+8];
        mov.u32 %r2, %ctaid.x;
        mov.u32 %r3, %ntid.x;
        mov.u32 %r4, %tid.x;
        mad.lo.s32 %r5, %r2, %r3, %r4;
        setp.ge.s32 %p1, %r5, %r1;
        @%p1 bra DONE;
        cvta.to.global.u64 %rd2, %rd1;
        mul.wide.s32 %rd3, %r5, 4;
        add.s64 %rd4, %rd2, %rd3;
        ld.global.f32 %f1, [%rd4];
        add.f32 %f2, %f1, %f1;
        st.global.f32 [%rd4], %f2;
      DONE:
        ret;
      }
      """
          .getBytes(StandardCharsets.US_ASCII);

  private CudaExample() {}

  static float[] twice(float[] x, byte[] image) {
    // README
    try (Device device = Device.open(0)) {
      Stream stream = device.newStream();
      Kernel kernel = device.load(image).kernel("twice"); // a cubin, or PTX
      PinnedBuffer host = device.allocatePinned(4L * x.length);
      DeviceBuffer memory = device.allocate(host.segment().byteSize());
      MemorySegment arguments = kernel.newArguments(16); // struct { float* x; int count; }
      arguments.set(ValueLayout.JAVA_LONG, 0, memory.address());
      arguments.set(ValueLayout.JAVA_INT, 8, x.length);
      LaunchConfig config = LaunchConfig.of(Dim3.of(Math.ceilDiv(x.length, 256)), Dim3.of(256));

      host.segment().copyFrom(MemorySegment.ofArray(x));
      memory.upload(stream, 0, host, 0, memory.bytes());
      kernel.launch(stream, config, arguments);
      memory.download(stream, 0, host, 0, memory.bytes());
      stream.synchronize();
      return host.segment().toArray(ValueLayout.JAVA_FLOAT);
    } // frees all of it; a failed call has thrown CudaException, with function, code, name and text
    // README
  }
}
