// Runs what a trace says, on the images of a folder: launches with their inputs and what must come
// out (LaunchTrace.java writes it). Meant to run under compute-sanitizer; it uses the driver alone, and
// waits after each launch so that an error names it.
//
// usage: replay IMAGES TRACE...       IMAGES/NAME are cubins or PTX of one architecture
// Exit code 1: an expectation is not met; 2: the trace or a driver call is bad.
#include <cuda.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kTag = 0x4e49;  // the upper 16 bits of an address in a trace

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "replay: %s\n", message.c_str());
  std::exit(2);
}

void check(const char* call, CUresult result) {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  cuGetErrorName(result, &name);
  fail(std::string(call) + " failed: " + (name ? name : "?"));
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Trace {
 public:
  explicit Trace(const std::string& path) : bytes_(read_file(path)) {
    if (bytes_.compare(0, 8, "nibblet2") != 0) fail(path + " is no trace");
    at_ = 8;
  }
  bool more() const { return at_ < bytes_.size(); }
  uint64_t number() {
    uint64_t value;
    std::memcpy(&value, take(8), 8);
    return value;
  }
  std::string bytes() {
    const uint64_t length = number();
    return {take(length), length};
  }

 private:
  const char* take(uint64_t length) {
    if (length > bytes_.size() - at_) fail("the trace is cut short");
    const char* start = bytes_.data() + at_;
    at_ += length;
    return start;
  }
  std::string bytes_;
  size_t at_ = 0;
};

// Elements as Element.java numbers them: float, half, int8, int32.
uint64_t element_bytes(uint64_t element) {
  constexpr uint64_t bytes[] = {4, 2, 1, 4};
  if (element >= std::size(bytes)) fail("the trace has an unknown element");
  return bytes[element];
}

double half_value(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return half >> 15 ? -magnitude : magnitude;
}

template <class T>
T read_as(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double element_at(uint64_t element, const char* from) {
  switch (element) {
    case 0:
      return read_as<float>(from);
    case 1:
      return half_value(read_as<uint16_t>(from));
    case 2:
      return read_as<int8_t>(from);
    default:
      return read_as<int32_t>(from);
  }
}

class Replay {
 public:
  explicit Replay(std::string images) : images_(std::move(images)) {}

  int run(Trace trace) {
    while (trace.more()) step(trace);
    for (const auto& [address, memory] : memory_) check("cuMemFree", cuMemFree(memory.device));
    memory_.clear();
    std::printf("%d launches, %d expectations, %d not met, largest error %.2g of its limit\n",
                launches_, expectations_, unmet_, worst_);
    return unmet_;
  }

 private:
  struct Memory {
    CUdeviceptr device;
    uint64_t bytes;
  };

  void step(Trace& trace) {
    switch (trace.number()) {
      case 1: {
        const uint64_t address = trace.number(), bytes = trace.number();
        CUdeviceptr device;
        check("cuMemAlloc", cuMemAlloc(&device, bytes));
        memory_[address] = {device, bytes};
        break;
      }
      case 2: {
        const uint64_t to = trace.number();
        std::string bytes = trace.bytes();
        relocate(bytes);
        check("cuMemcpyHtoD", cuMemcpyHtoD(place(to), bytes.data(), bytes.size()));
        break;
      }
      case 3: {
        const uint64_t to = trace.number(), value = trace.number(), bytes = trace.number();
        check("cuMemsetD8", cuMemsetD8(place(to), static_cast<unsigned char>(value), bytes));
        break;
      }
      case 4: {
        const uint64_t to = trace.number(), from = trace.number(), bytes = trace.number();
        check("cuMemcpyDtoD", cuMemcpyDtoD(place(to), place(from), bytes));
        break;
      }
      case 5:
        launch(trace);
        break;
      case 6:
        expect(trace);
        break;
      default:
        fail("the trace has an unknown operation");
    }
  }

  void launch(Trace& trace) {
    CUlaunchConfig config = {};
    config.sharedMemBytes = trace.number();
    const uint64_t may_start_early = trace.number();
    config.gridDimX = trace.number(), config.gridDimY = trace.number(), config.gridDimZ = trace.number();
    config.blockDimX = trace.number(), config.blockDimY = trace.number(), config.blockDimZ = trace.number();
    CUlaunchAttribute attributes[2] = {};
    config.attrs = attributes;
    const unsigned x = trace.number(), y = trace.number(), z = trace.number();
    if (x * y * z > 1) {
      CUlaunchAttribute& cluster = attributes[config.numAttrs++];
      cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
      cluster.value.clusterDim = {x, y, z};
    }
    if (may_start_early) {
      CUlaunchAttribute& early = attributes[config.numAttrs++];
      early.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
      early.value.programmaticStreamSerializationAllowed = 1;
    }
    const std::string image = trace.bytes(), name = trace.bytes();
    std::string arguments = trace.bytes();
    relocate(arguments);
    const CUfunction function = find(image, name);
    check("cuFuncSetAttribute",
          cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                             static_cast<int>(config.sharedMemBytes)));
    void* parameters[] = {arguments.data()};
    check(name.c_str(), cuLaunchKernelEx(&config, function, parameters, nullptr));
    check(name.c_str(), cuCtxSynchronize());
    last_ = name;
    ++launches_;
  }

  void expect(Trace& trace) {
    const uint64_t address = trace.number(), element = trace.number(), rows = trace.number(),
                   columns = trace.number(), stride = trace.number(), bits = trace.number();
    double limit;
    std::memcpy(&limit, &bits, sizeof limit);
    const std::string bytes = trace.bytes();
    const float* const expected = reinterpret_cast<const float*>(bytes.data());
    const uint64_t size = element_bytes(element);
    std::vector<char> found(columns * size);
    double error = 0, squares = 0;
    for (uint64_t row = 0; row < rows; ++row) {
      check("cuMemcpyDtoH",
            cuMemcpyDtoH(found.data(), place(address + size * row * stride), found.size()));
      for (uint64_t i = 0; i < columns; ++i) {
        const double value = expected[row * columns + i];
        const double difference = element_at(element, found.data() + size * i) - value;
        error += difference * difference;
        squares += value * value;
      }
    }
    const bool met = error <= limit * squares;
    ++expectations_;
    if (!met) {
      std::printf("NOT MET [%llu, %llu] after launch %d of %s: error %.2e of %.0e\n",
                  static_cast<unsigned long long>(rows), static_cast<unsigned long long>(columns),
                  launches_, last_.c_str(), error / squares, limit);
    }
    worst_ = std::max(worst_, limit > 0 && met && squares > 0 ? error / squares / limit : 0);
    unmet_ += !met;
  }

  CUfunction find(const std::string& image, const std::string& name) {
    CUmodule& module = modules_[image];
    if (!module) {
      const std::string code = read_file(images_ + "/" + image);
      check("cuModuleLoadData", cuModuleLoadData(&module, code.c_str()));
    }
    CUfunction function;
    check("cuModuleGetFunction", cuModuleGetFunction(&function, module, name.c_str()));
    return function;
  }

  // Where an address of the trace lies here.
  CUdeviceptr place(uint64_t address) const {
    auto after = memory_.upper_bound(address);
    if (after == memory_.begin()) fail("an address before all memory");
    const auto& [start, memory] = *--after;
    if (address - start > memory.bytes) fail("an address outside all memory");
    return memory.device + (address - start);
  }

  void relocate(std::string& bytes) const {
    for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      uint64_t word;
      std::memcpy(&word, &bytes[i], 8);
      if (word >> 48 != kTag) continue;
      auto after = memory_.upper_bound(word);
      if (after == memory_.begin() || word - std::prev(after)->first > std::prev(after)->second.bytes) {
        continue;
      }
      word = place(word);
      std::memcpy(&bytes[i], &word, 8);
    }
  }

  std::string images_;
  std::map<uint64_t, Memory> memory_;
  std::map<std::string, CUmodule> modules_;
  std::string last_;
  int launches_ = 0, expectations_ = 0, unmet_ = 0;
  double worst_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) fail("usage: replay IMAGES TRACE...");
  check("cuInit", cuInit(0));
  CUdevice device;
  check("cuDeviceGet", cuDeviceGet(&device, 0));
  CUcontext context;
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
  int unmet = 0;
  for (int i = 2; i < count; ++i) {
    std::printf("%s\n", arguments[i]);
    unmet += Replay(arguments[1]).run(Trace(arguments[i]));
  }
  check("cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease(device));
  return unmet ? 1 : 0;
}
