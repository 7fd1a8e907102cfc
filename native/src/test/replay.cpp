// Runs what traces say, on the images of a folder: launches with their inputs and what must come
// out (LaunchTrace.java writes it). Meant to run under compute-sanitizer; it uses the driver alone, and
// waits after each launch so that an error names it.
//
// usage: replay IMAGES I/N TRACE...   the I-th of N shares of all launches; IMAGES/NAME are cubins or
//                                     PTX of one architecture. Ends with a line for each kernel run.
//        replay IMAGES                a line for each kernel of the images
// Exit code 1: an expectation is not met; 2: the trace or a driver call is bad.
#include <cuda.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
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

enum Kind : uint64_t { kAllocate = 1, kUpload, kFill, kCopy, kLaunch, kExpect };

// Its operands: first the numbers, then what has a length of its own.
struct Operation {
  uint64_t kind;
  std::vector<uint64_t> numbers;
  std::vector<std::string> bytes;
};

class Trace {
 public:
  explicit Trace(const std::string& path) : bytes_(read_file(path)) {
    if (bytes_.compare(0, 8, "nibblet2") != 0) fail(path + " is no trace");
    at_ = 8;
  }

  std::vector<Operation> operations() {
    constexpr size_t numbers[] = {0, 2, 1, 3, 3, 11, 6}, texts[] = {0, 0, 1, 0, 0, 3, 1};
    std::vector<Operation> operations;
    while (at_ < bytes_.size()) {
      Operation next = {number(), {}, {}};
      if (next.kind < kAllocate || next.kind > kExpect) fail("the trace has an unknown operation");
      for (size_t i = 0; i < numbers[next.kind]; ++i) next.numbers.push_back(number());
      for (size_t i = 0; i < texts[next.kind]; ++i) {
        const uint64_t length = number();
        next.bytes.emplace_back(take(length), length);
      }
      operations.push_back(std::move(next));
    }
    return operations;
  }

 private:
  uint64_t number() {
    uint64_t value;
    std::memcpy(&value, take(8), 8);
    return value;
  }
  const char* take(uint64_t length) {
    if (length > bytes_.size() - at_) fail("the trace is cut short");
    const char* start = bytes_.data() + at_;
    at_ += length;
    return start;
  }
  std::string bytes_;
  size_t at_ = 0;
};

// Calls visit(offset, word) for all that may be addresses of a trace.
template <class Visit>
void each_address(const std::string& bytes, Visit visit) {
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, &bytes[i], 8);
    if (word >> 48 == kTag) visit(i, word);
  }
}

// Launches that share no memory, directly or through others, need not run in one process.
class Parts {
 public:
  explicit Parts(const std::vector<Operation>& operations) {
    for (const Operation& o : operations) {
      if (o.kind == kAllocate) memory_[o.numbers[0]] = {o.numbers[1], o.numbers[0]};
      if (o.kind == kCopy) join(o.numbers[0], o.numbers[1]);
      if (o.kind == kUpload) join_all(o.numbers[0], o.bytes[0]);
      if (o.kind == kLaunch) join_all(any(o), o.bytes[2]);
    }
    for (const Operation& o : operations) launches_[of(o)] += o.kind == kLaunch;
  }

  // The part an operation belongs to, by one of its addresses.
  uint64_t of(const Operation& o) { return root(holder(o.kind == kLaunch ? any(o) : o.numbers[0])); }
  int launches(uint64_t part) const { return launches_.at(part); }

 private:
  struct Memory {
    uint64_t bytes, parent;
  };

  uint64_t any(const Operation& launch) const {
    uint64_t found = 0;
    each_address(launch.bytes[2], [&](size_t, uint64_t word) {
      if (!found) found = holder(word);
    });
    return found;
  }
  // The start of the memory with an address, or 0.
  uint64_t holder(uint64_t address) const {
    auto after = memory_.upper_bound(address);
    if (after == memory_.begin()) return 0;
    const auto& [start, memory] = *std::prev(after);
    return address - start > memory.bytes ? 0 : start;
  }
  uint64_t root(uint64_t start) {
    while (start && memory_[start].parent != start) start = memory_[start].parent;
    return start;
  }
  void join(uint64_t a, uint64_t b) {
    a = root(holder(a)), b = root(holder(b));
    if (a && b) memory_[std::max(a, b)].parent = std::min(a, b);
  }
  void join_all(uint64_t address, const std::string& bytes) {
    each_address(bytes, [&](size_t, uint64_t word) { join(address, word); });
  }

  std::map<uint64_t, Memory> memory_;
  std::map<uint64_t, int> launches_;
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

  // Those operations of a trace whose parts are taken.
  template <class Taken>
  void run(const std::vector<Operation>& operations, Taken taken) {
    for (const Operation& operation : operations) {
      if (taken(operation)) step(operation);
    }
    for (const auto& [address, memory] : memory_) check("cuMemFree", cuMemFree(memory.device));
    memory_.clear();
  }

  int report() const {
    for (const auto& [image, names] : functions_) {
      for (const auto& [name, function] : names) std::printf("ran %s %s\n", image.c_str(), name.c_str());
    }
    std::printf("%d launches, %d expectations, %d not met, largest error %.2g of its limit\n",
                launches_, expectations_, unmet_, worst_);
    return unmet_;
  }

 private:
  struct Memory {
    CUdeviceptr device;
    uint64_t bytes;
  };

  void step(const Operation& operation) {
    const std::vector<uint64_t>& n = operation.numbers;
    switch (operation.kind) {
      case kAllocate: {
        CUdeviceptr device;
        check("cuMemAlloc", cuMemAlloc(&device, n[1]));
        memory_[n[0]] = {device, n[1]};
        break;
      }
      case kUpload: {
        const std::string bytes = relocated(operation.bytes[0]);
        check("cuMemcpyHtoD", cuMemcpyHtoD(place(n[0]), bytes.data(), bytes.size()));
        break;
      }
      case kFill:
        check("cuMemsetD8", cuMemsetD8(place(n[0]), static_cast<unsigned char>(n[1]), n[2]));
        break;
      case kCopy:
        check("cuMemcpyDtoD", cuMemcpyDtoD(place(n[0]), place(n[1]), n[2]));
        break;
      case kLaunch:
        launch(operation);
        break;
      default:
        expect(operation);
    }
  }

  void launch(const Operation& operation) {
    const std::vector<uint64_t>& n = operation.numbers;
    CUlaunchConfig config = {};
    config.sharedMemBytes = n[0];
    config.gridDimX = n[2], config.gridDimY = n[3], config.gridDimZ = n[4];
    config.blockDimX = n[5], config.blockDimY = n[6], config.blockDimZ = n[7];
    CUlaunchAttribute attributes[2] = {};
    config.attrs = attributes;
    const unsigned x = n[8], y = n[9], z = n[10];
    if (x * y * z > 1) {
      CUlaunchAttribute& cluster = attributes[config.numAttrs++];
      cluster.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
      cluster.value.clusterDim = {x, y, z};
    }
    if (n[1]) {  // may start early
      CUlaunchAttribute& early = attributes[config.numAttrs++];
      early.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
      early.value.programmaticStreamSerializationAllowed = 1;
    }
    const std::string& name = operation.bytes[1];
    std::string arguments = relocated(operation.bytes[2]);
    const CUfunction function = find(operation.bytes[0], name);
    check("cuFuncSetAttribute",
          cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                             static_cast<int>(config.sharedMemBytes)));
    void* parameters[] = {arguments.data()};
    check(name.c_str(), cuLaunchKernelEx(&config, function, parameters, nullptr));
    check(name.c_str(), cuCtxSynchronize());
    last_ = name;
    ++launches_;
  }

  void expect(const Operation& operation) {
    const std::vector<uint64_t>& n = operation.numbers;
    const uint64_t address = n[0], element = n[1], rows = n[2], columns = n[3], stride = n[4];
    double limit;
    std::memcpy(&limit, &n[5], sizeof limit);
    const float* const expected = reinterpret_cast<const float*>(operation.bytes[0].data());
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
    CUfunction& function = functions_[image][name];
    if (!function) {
      check("cuModuleGetFunction", cuModuleGetFunction(&function, module, name.c_str()));
    }
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

  // With addresses of the trace made those here.
  std::string relocated(std::string bytes) const {
    each_address(bytes, [&](size_t at, uint64_t word) {
      auto after = memory_.upper_bound(word);
      if (after == memory_.begin() || word - std::prev(after)->first > std::prev(after)->second.bytes) {
        return;
      }
      word = place(word);
      std::memcpy(&bytes[at], &word, 8);
    });
    return bytes;
  }

  std::string images_;
  std::map<uint64_t, Memory> memory_;
  std::map<std::string, CUmodule> modules_;
  std::map<std::string, std::map<std::string, CUfunction>> functions_;
  std::string last_;
  int launches_ = 0, expectations_ = 0, unmet_ = 0;
  double worst_ = 0;
};

void list_kernels(const std::string& images) {
  for (const auto& file : std::filesystem::directory_iterator(images)) {
    const std::string code = read_file(file.path());
    CUmodule module;
    check("cuModuleLoadData", cuModuleLoadData(&module, code.c_str()));
    unsigned count;
    check("cuModuleGetFunctionCount", cuModuleGetFunctionCount(&count, module));
    std::vector<CUfunction> functions(count);
    check("cuModuleEnumerateFunctions", cuModuleEnumerateFunctions(functions.data(), count, module));
    for (CUfunction function : functions) {
      const char* name;
      check("cuFuncGetName", cuFuncGetName(&name, function));
      std::printf("%s %s\n", file.path().filename().c_str(), name);
    }
  }
}

// Shares are stretches of the parts in their order, of about as many launches.
int replay(const std::string& images, int share, int shares, const std::vector<std::string>& paths) {
  std::vector<std::vector<Operation>> traces;
  std::vector<Parts> parts;
  int64_t launches = 0;
  for (const std::string& path : paths) {
    traces.push_back(Trace(path).operations());
    parts.emplace_back(traces.back());
    for (const Operation& o : traces.back()) launches += o.kind == kLaunch;
  }
  Replay replay(images);
  int64_t before = 0;
  for (size_t i = 0; i < traces.size(); ++i) {
    std::map<uint64_t, bool> taken;
    for (const Operation& o : traces[i]) {
      if (o.kind != kLaunch || taken.count(parts[i].of(o))) continue;
      taken[parts[i].of(o)] = before * shares / launches == share - 1;
      before += parts[i].launches(parts[i].of(o));
    }
    replay.run(traces[i], [&](const Operation& o) {
      const auto found = taken.find(parts[i].of(o));
      return found != taken.end() && found->second;
    });
  }
  return replay.report();
}

}  // namespace

int main(int count, char** arguments) {
  int share = 0, shares = 0;
  if (count < 2 || count == 3 ||
      (count > 3 && (std::sscanf(arguments[2], "%d/%d", &share, &shares) != 2 || share < 1 ||
                     share > shares))) {
    fail("usage: replay IMAGES [I/N TRACE...]");
  }
  check("cuInit", cuInit(0));
  CUdevice device;
  check("cuDeviceGet", cuDeviceGet(&device, 0));
  CUcontext context;
  check("cuDevicePrimaryCtxRetain", cuDevicePrimaryCtxRetain(&context, device));
  check("cuCtxSetCurrent", cuCtxSetCurrent(context));
  int unmet = 0;
  if (count == 2) {
    list_kernels(arguments[1]);
  } else {
    unmet = replay(arguments[1], share, shares, {arguments + 3, arguments + count});
  }
  check("cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease(device));
  return unmet ? 1 : 0;
}
