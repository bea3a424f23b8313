#include "fake_cuda.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/kernels/attention_mma.hpp"
#include "cuda/kernels/attention_warpgroup.hpp"
#include "cuda/kernels/box_bias.hpp"
#include "cuda/kernels/mask.hpp"
#include "cuda/kernels/query_position.hpp"
#include "cuda/kernels/resize.hpp"
#include "cuda/kernels/select.hpp"
#include "fake_block.hpp"

namespace {

using sam3trt::AttentionArgs;
using sam3trt::BoxBiasArgs;
using sam3trt::KernelThread;
using sam3trt::MaskArgs;
using sam3trt::MaskSums;
using sam3trt::ResizeArgs;
using sam3trt::RotateArgs;
using sam3trt::SelectArgs;
using Work = std::function<void()>;

constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidImage = 200;
constexpr int kInvalidContext = 201;
constexpr int kNotFound = 500;

std::map<std::string, int> failures;
int device_count = 1;
int live_objects = 0;
int context = 0;  // its address is the handle
thread_local std::vector<void*> contexts;

/// The status a test asked for, or 0.
int injected(const char* name) {
  const auto found = failures.find(name);
  if (found == failures.end()) return 0;
  const int status = found->second;
  failures.erase(found);
  return status;
}

int needs_context(const char* name) {
  if (const int status = injected(name)) return status;
  return contexts.empty() || contexts.back() == nullptr ? kInvalidContext : 0;
}

struct Recording {
  std::vector<Work> work;
};

struct FakeStream {
  std::unique_ptr<Recording> recording;

  void run(Work work) {
    if (recording) {
      recording->work.push_back(std::move(work));
    } else {
      work();
    }
  }
};

struct Grid {
  unsigned x, y, z;
  unsigned shared_bytes;  ///< Asked for by the launch.
};

template <typename Body>
void for_each_block(const Grid& grid, const Body& body) {
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) body(KernelThread{0, x, y, z, grid.y});
    }
  }
}

template <typename Body>
void for_each_thread(KernelThread at, const Body& body) {
  for (at.thread = 0; at.thread < sam3trt::kBlockThreads; ++at.thread) body(at);
}

/// A kernel without a barrier.
template <typename Args>
std::function<Work(Grid, void*)> plain(void (*body)(const Args&, KernelThread)) {
  return [body](Grid grid, void* parameters) {
    return [=, args = *static_cast<const Args*>(parameters)] {
      for_each_block(grid, [&](KernelThread block) {
        for_each_thread(block, [&](KernelThread at) { body(args, at); });
      });
    };
  };
}

/// A kernel whose block shares memory and waits between its parts.
template <typename Args, typename Shared, typename... Parts>
std::function<Work(Grid, void*)> shared(Parts... parts) {
  return [=](Grid grid, void* parameters) {
    return [=, args = *static_cast<const Args*>(parameters)] {
      for_each_block(grid, [&](KernelThread block) {
        const auto memory = std::make_unique<Shared>();
        (for_each_thread(block, [&](KernelThread at) { parts(args, at, *memory); }), ...);
      });
    };
  };
}

void resize_rows(const ResizeArgs& args, KernelThread at) {
  if (args.half) {
    sam3trt::resize_rows_body<uint16_t>(args, at);
  } else {
    sam3trt::resize_rows_body<float>(args, at);
  }
}

struct Scores {
  float values[sam3trt::kMaxQueries];
};

/// A kernel whose threads work together as warps.
template <typename Attention, typename Warp>
Work attention(Grid grid, void* parameters) {
  return [=, args = *static_cast<const AttentionArgs*>(parameters)] {
    for_each_block(grid, [&](KernelThread at) {
      sam3trt::FakeBlock block(Attention::kThreads, {at.block_x, at.block_y, at.block_z});
      const size_t elements =
          std::max<size_t>(Attention::kSharedElements, grid.shared_bytes / sizeof(uint16_t));
      std::vector<uint16_t> shared(elements, 0xFFFF);  // NaN
      block.run([&](int /*thread*/) {
        Warp warp(block);
        Attention(args, warp, shared.data()).run();
      });
    });
  };
}

template <int kDim, typename Type>
Work mma_attention(Grid grid, void* parameters) {
  using Warp = sam3trt::FakeWarp<Type>;
  using Attention = sam3trt::MmaAttention<sam3trt::AttentionTile<kDim>, Warp>;
  return attention<Attention, Warp>(grid, parameters);
}

template <int kDim, typename Type>
Work grid_attention(Grid grid, void* parameters) {
  using Warp = sam3trt::FakeWarp<Type>;
  using Attention = sam3trt::MmaAttention<sam3trt::GridAttentionTile<kDim>, Warp>;
  return attention<Attention, Warp>(grid, parameters);
}

template <typename Type>
Work warpgroup_attention(Grid grid, void* parameters) {
  using Warp = sam3trt::FakeWarpgroup<Type>;
  return attention<sam3trt::WarpgroupAttention<Warp>, Warp>(grid, parameters);
}

template <int kDim, typename Type>
void rotate_keys(const RotateArgs& args, KernelThread at) {
  sam3trt::rotate_keys_body<kDim, sam3trt::FakeWarp<Type>>(args, at.x());
}

struct Kernel {
  std::function<Work(Grid, void*)> work;
  unsigned threads = sam3trt::kBlockThreads;  ///< Of a block.
  unsigned dynamic_shared = 48U << 10U;       ///< Most bytes that a launch may ask for.
};

/// Functions as kernels.cu and operators.cu name them.
std::map<std::string, Kernel>& kernels() {
  using sam3trt::FakeBFloat16;
  using sam3trt::FakeFloat16;
  constexpr unsigned kMmaThreads = 128;
  constexpr unsigned kGridThreads = 256;
  constexpr unsigned kWarpgroupThreads = sam3trt::kWarpgroupThreads;
  static std::map<std::string, Kernel> all = {
      {"sam3trt_resize_columns", {plain<ResizeArgs>(sam3trt::resize_columns_body)}},
      {"sam3trt_resize_rows", {plain<ResizeArgs>(resize_rows)}},
      {"sam3trt_select",
       {shared<SelectArgs, Scores>(
           [](const auto& args, auto at, auto& s) { select_score_body(args, at, s.values); },
           [](const auto& args, auto at, auto& s) { select_write_body(args, at, s.values); })}},
      {"sam3trt_find_nonfinite", {plain<sam3trt::FiniteArgs>(sam3trt::find_nonfinite_body)}},
      {"sam3trt_mask_sigmoid", {plain<MaskArgs>(sam3trt::mask_sigmoid_body)}},
      {"sam3trt_mask_bits", {plain<MaskArgs>(sam3trt::mask_bits_body)}},
      {"sam3trt_mask_count", {plain<MaskArgs>(sam3trt::mask_count_body)}},
      {"sam3trt_mask_scan_columns",
       {shared<MaskArgs, MaskSums>(sam3trt::mask_sum_columns_body,
                                   sam3trt::mask_scan_columns_body)}},
      {"sam3trt_mask_scan_tasks",
       {shared<MaskArgs, MaskSums>(sam3trt::mask_sum_tasks_body, sam3trt::mask_scan_tasks_body)}},
      {"sam3trt_mask_write", {plain<MaskArgs>(sam3trt::mask_write_body)}},
      {"sam3trt_warpgroup_attention_f16_64", {warpgroup_attention<FakeFloat16>, kWarpgroupThreads}},
      {"sam3trt_warpgroup_attention_bf16_64",
       {warpgroup_attention<FakeBFloat16>, kWarpgroupThreads}},
      {"sam3trt_box_bias",
       {shared<BoxBiasArgs, sam3trt::BoxBiasWeights>(sam3trt::box_bias_load_body,
                                                     sam3trt::box_bias_body)}},
      {"sam3trt_query_position",
       {shared<sam3trt::QueryPositionArgs, sam3trt::QueryPositionRows>(
           sam3trt::query_position_encode_body, sam3trt::query_position_hidden_body,
           sam3trt::query_position_output_body)}},
      {"sam3trt_attention_f16_16", {mma_attention<16, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_16", {plain<RotateArgs>(rotate_keys<16, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_16", {grid_attention<16, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_f16_32", {mma_attention<32, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_32", {plain<RotateArgs>(rotate_keys<32, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_32", {grid_attention<32, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_f16_64", {mma_attention<64, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_64", {plain<RotateArgs>(rotate_keys<64, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_64", {grid_attention<64, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_16", {mma_attention<16, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_16", {plain<RotateArgs>(rotate_keys<16, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_16", {grid_attention<16, FakeBFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_32", {mma_attention<32, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_32", {plain<RotateArgs>(rotate_keys<32, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_32", {grid_attention<32, FakeBFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_64", {mma_attention<64, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_64", {plain<RotateArgs>(rotate_keys<64, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_64", {grid_attention<64, FakeBFloat16>, kGridThreads}},
  };
  return all;
}

template <typename T>
int destroy(const char* name, void* object) {
  delete static_cast<T*>(object);
  --live_objects;
  return injected(name);
}

FakeStream& as_stream(void* stream) { return *static_cast<FakeStream*>(stream); }

}  // namespace

extern "C" {

void fake_cuda_fail_next(const char* name, int status) { failures[name] = status; }
void fake_cuda_set_devices(int count) { device_count = count; }
int fake_cuda_live_objects() { return live_objects; }
int fake_cuda_context_depth() { return static_cast<int>(contexts.size()); }

int cuInit(unsigned) { return injected("cuInit"); }

int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}

int cuGetErrorName(int status, const char** text) {
  *text = status == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
  return status == 9999 ? kInvalidValue : 0;
}

int cuGetErrorString(int status, const char** text) {
  *text = status == kOutOfMemory ? "out of memory" : "a fake error";
  return 0;
}

int cuDeviceGetCount(int* count) {
  *count = device_count;
  return 0;
}

int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return ordinal < device_count ? 0 : kInvalidDevice;
}

int cuDeviceGetName(char* name, int size, int) {
  std::strncpy(name, "Fake GPU", static_cast<size_t>(size));
  return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = size_t{8} << 30;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return 0;
}

int cuDevicePrimaryCtxRetain(void** result, int) {
  if (const int status = injected("cuDevicePrimaryCtxRetain")) return status;
  ++live_objects;
  *result = &context;
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int) {
  --live_objects;
  return 0;
}

int cuCtxSetCurrent(void* value) {
  if (contexts.empty()) contexts.push_back(nullptr);
  contexts.back() = value;
  return 0;
}

int cuCtxPushCurrent_v2(void* value) {
  contexts.push_back(value);
  return 0;
}

int cuCtxGetDevice(int* device) {
  *device = 0;
  return needs_context("cuCtxGetDevice");
}

int cuCtxPopCurrent_v2(void** value) {
  if (contexts.empty()) return kInvalidContext;
  *value = contexts.back();
  contexts.pop_back();
  return 0;
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = size_t{6} << 30;
  *total = size_t{8} << 30;
  return needs_context("cuMemGetInfo_v2");
}

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  if (const int status = needs_context("cuMemAlloc_v2")) return status;
  void* memory = std::malloc(bytes);
  std::memset(memory, 0xCD, bytes);  // fresh memory holds anything
  *address = reinterpret_cast<uint64_t>(memory);
  ++live_objects;
  return 0;
}

int cuMemFree_v2(uint64_t address) {
  std::free(reinterpret_cast<void*>(address));
  --live_objects;
  return needs_context("cuMemFree_v2");
}

int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
  if (const int status = needs_context("cuMemHostAlloc")) return status;
  *memory = std::malloc(bytes);
  ++live_objects;
  return 0;
}

int cuMemFreeHost(void* memory) {
  std::free(memory);
  --live_objects;
  return needs_context("cuMemFreeHost");
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  if (const int status = needs_context("cuMemcpyHtoDAsync_v2")) return status;
  as_stream(stream).run([=] { std::memcpy(reinterpret_cast<void*>(to), from, bytes); });
  return 0;
}

int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  if (const int status = needs_context("cuMemcpyDtoHAsync_v2")) return status;
  as_stream(stream).run([=] { std::memcpy(to, reinterpret_cast<const void*>(from), bytes); });
  return 0;
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  return cuMemcpyDtoHAsync_v2(reinterpret_cast<void*>(to), from, bytes, stream);
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
  if (const int status = needs_context("cuMemsetD8Async")) return status;
  as_stream(stream).run([=] { std::memset(reinterpret_cast<void*>(to), value, bytes); });
  return 0;
}

int cuStreamCreate(void** stream, unsigned) {
  if (const int status = needs_context("cuStreamCreate")) return status;
  *stream = new FakeStream;
  ++live_objects;
  return 0;
}

int cuStreamDestroy_v2(void* stream) { return destroy<FakeStream>("cuStreamDestroy_v2", stream); }
int cuStreamSynchronize(void*) { return injected("cuStreamSynchronize"); }
int cuStreamWaitEvent(void*, void*, unsigned) { return injected("cuStreamWaitEvent"); }

int cuEventCreate(void** event, unsigned) {
  if (const int status = needs_context("cuEventCreate")) return status;
  *event = new int(0);
  ++live_objects;
  return 0;
}

int cuEventDestroy_v2(void* event) { return destroy<int>("cuEventDestroy_v2", event); }

int cuEventRecord(void* event, void*) {
  static int ticks = 0;
  *static_cast<int*>(event) = ++ticks;
  return injected("cuEventRecord");
}

int cuEventSynchronize(void*) { return injected("cuEventSynchronize"); }

int cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  *milliseconds = static_cast<float>(*static_cast<int*>(end) - *static_cast<int*>(begin));
  return 0;
}

int cuStreamBeginCapture_v2(void* stream, int) {
  if (const int status = injected("cuStreamBeginCapture_v2")) return status;
  as_stream(stream).recording = std::make_unique<Recording>();
  return 0;
}

int cuStreamEndCapture(void* stream, void** graph) {
  *graph = as_stream(stream).recording.release();
  ++live_objects;
  return injected("cuStreamEndCapture");
}

int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  if (const int status = injected("cuGraphInstantiateWithFlags")) return status;
  *executable = new Recording(*static_cast<Recording*>(graph));
  ++live_objects;
  return 0;
}

int cuGraphLaunch(void* executable, void* stream) {
  if (const int status = needs_context("cuGraphLaunch")) return status;
  for (const Work& work : static_cast<Recording*>(executable)->work) as_stream(stream).run(work);
  return 0;
}

int cuGraphExecDestroy(void* graph) { return destroy<Recording>("cuGraphExecDestroy", graph); }
int cuGraphDestroy(void* graph) { return destroy<Recording>("cuGraphDestroy", graph); }

int cuModuleLoadData(void** module, const void* image) {
  if (const int status = needs_context("cuModuleLoadData")) return status;
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic != 0xBA55ED50U) return kInvalidImage;  // how a fatbin begins
  *module = new int(0);
  ++live_objects;
  return 0;
}

int cuModuleUnload(void* module) { return destroy<int>("cuModuleUnload", module); }

int cuModuleGetFunction(void** function, void*, const char* name) {
  const auto found = kernels().find(name);
  if (found == kernels().end()) return kNotFound;
  *function = &found->second;
  return injected("cuModuleGetFunction");
}

int cuLibraryLoadData(void** library, const void* image, int*, void**, unsigned, int*, void**,
                      unsigned) {
  if (const int status = injected("cuLibraryLoadData")) return status;
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic != 0xBA55ED50U) return kInvalidImage;
  *library = new int(0);
  ++live_objects;
  return 0;
}

int cuLibraryUnload(void* library) { return destroy<int>("cuLibraryUnload", library); }

int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  return cuModuleGetFunction(kernel, library, name);
}

int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  if (const int status = needs_context("cuLaunchHostFunc")) return status;
  as_stream(stream).run([=] { function(data); });
  return 0;
}

int cuKernelSetAttribute(int attribute, int value, void* kernel, int) {
  if (attribute != 8 || value < 0) return kInvalidValue;
  static_cast<Kernel*>(kernel)->dynamic_shared = static_cast<unsigned>(value);
  return injected("cuKernelSetAttribute");
}

int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared_bytes, void* stream,
                   void** parameters, void**) {
  if (const int status = needs_context("cuLaunchKernel")) return status;
  if (x == 0 || y == 0 || z == 0 || x > 0x7FFFFFFFU || y > 65535 || z > 65535 || threads_y != 1 ||
      threads_z != 1) {
    return kInvalidValue;
  }
  const auto& kernel = *static_cast<Kernel*>(function);
  if (threads != kernel.threads || shared_bytes > kernel.dynamic_shared) return kInvalidValue;
  as_stream(stream).run(kernel.work(Grid{x, y, z, shared_bytes}, parameters[0]));
  return 0;
}
}
