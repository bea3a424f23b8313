#include "cuda/attention.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "cuda/fatbin.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/attention_warpgroup.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kWarpgroupHeadDim = 64;
// Of a block, as the kernels are compiled.
constexpr unsigned kRotateThreads = 256;
constexpr unsigned kMmaThreads = 128;
constexpr unsigned kWarpgroupShared = kWarpgroupSharedElements * sizeof(uint16_t);
constexpr int kMaxDynamicShared = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int64_t kMaxGrid = 65535;    // of y and z
constexpr int64_t kMaxRows = 1 << 30;  // of queries and keys

template <typename Element>
AttentionRows<Element> rows(DevicePointer data, int64_t batch, int64_t row, int64_t head) {
  return {device_pointer<Element>(data), batch, row, head};
}

void check(const RotaryAttention& a) {
  const bool sizes = a.batches > 0 && a.tokens > 0 && a.window > 0 && a.heads > 0 &&
                     a.tokens % a.window == 0 && a.heads <= kMaxGrid &&
                     a.batches * (a.tokens / a.window) <= kMaxGrid && a.window <= kMaxRows;
  if (sizes) return;
  throw Error(ErrorCode::kInternal, "rotary attention of " + std::to_string(a.batches) + " x " +
                                        std::to_string(a.tokens) + " tokens in windows of " +
                                        std::to_string(a.window) + ", " + std::to_string(a.heads) +
                                        " heads");
}

void check(const GridAttention& a) {
  const bool sizes = a.prompts > 0 && a.queries > 0 && a.rows > 0 && a.columns > 0 && a.heads > 0 &&
                     a.prompts <= kMaxGrid && a.heads <= kMaxGrid && a.queries <= kMaxRows &&
                     a.rows <= kMaxRows / a.columns;
  if (sizes) return;
  throw Error(ErrorCode::kInternal,
              "grid attention of " + std::to_string(a.prompts) + " x " + std::to_string(a.queries) +
                  " queries to " + std::to_string(a.rows) + " x " + std::to_string(a.columns) +
                  " cells, " + std::to_string(a.heads) + " heads");
}

}  // namespace

AttentionKernels::AttentionKernels(const CudaDriver& driver) : driver_(driver) {
  for (const CudaDeviceInfo& info : list_cuda_devices(driver)) {
    has_warpgroups_.push_back(info.major == 9 && info.minor == 0);
  }
  try {
    load();
  } catch (...) {
    unload();
    throw;
  }
}

AttentionKernels::~AttentionKernels() { unload(); }

void AttentionKernels::load() {
  driver_.library_load_data(&library_, attention_fatbin(), nullptr, nullptr, 0, nullptr, nullptr,
                            0);
  if (std::ranges::find(has_warpgroups_, true) != has_warpgroups_.end()) {
    driver_.library_load_data(&warpgroup_library_, warpgroup_attention_fatbin(), nullptr, nullptr,
                              0, nullptr, nullptr, 0);
  }
  const std::array<std::string, kTypes> types = {"f16", "bf16"};
  for (size_t t = 0; t < kTypes; ++t) {
    for (size_t s = 0; s < kSizes; ++s) {
      const std::string name = types[t] + "_" + std::to_string(kAttentionHeadDims[s]);
      Functions& functions = functions_[t][s];
      functions.attention = kernel(library_, "sam3trt_attention_" + name);
      functions.rotate_keys = kernel(library_, "sam3trt_rotate_keys_" + name);
      functions.grid_attention = kernel(library_, "sam3trt_grid_attention_" + name);
      if (warpgroup_library_ == nullptr || kAttentionHeadDims[s] != kWarpgroupHeadDim) continue;
      functions.warpgroup_attention =
          kernel(warpgroup_library_, "sam3trt_warpgroup_attention_" + name);
      for (size_t gpu = 0; gpu < has_warpgroups_.size(); ++gpu) {
        if (!has_warpgroups_[gpu]) continue;
        driver_.kernel_set_attribute(kMaxDynamicShared, kWarpgroupShared,
                                     functions.warpgroup_attention, static_cast<int>(gpu));
      }
    }
  }
}

void AttentionKernels::unload() noexcept {
  for (void* library : {library_, warpgroup_library_}) {
    if (library != nullptr) static_cast<void>(driver_.library_unload.status(library));
  }
}

void* AttentionKernels::kernel(void* library, const std::string& name) const {
  void* kernel = nullptr;
  driver_.library_get_kernel(&kernel, library, name.c_str());
  return kernel;
}

AttentionForm AttentionKernels::best_form(const RotaryAttention& attention) const {
  int device = 0;
  driver_.context_get_device(&device);
  const bool warpgroups =
      attention.head_dim == kWarpgroupHeadDim && has_warpgroups_.at(static_cast<size_t>(device));
  return warpgroups ? AttentionForm::kWarpgroup : AttentionForm::kMma;
}

const AttentionKernels::Functions& AttentionKernels::functions(DType type, int64_t head_dim) const {
  const auto size = std::ranges::find(kAttentionHeadDims, head_dim);
  if ((type == DType::kF16 || type == DType::kBF16) && size != kAttentionHeadDims.end()) {
    return functions_[type == DType::kF16 ? 0 : 1][size - kAttentionHeadDims.begin()];
  }
  throw Error(ErrorCode::kInternal, "no attention kernel for " + std::string(name_of(type)) +
                                        " and heads of " + std::to_string(head_dim));
}

void AttentionKernels::launch(const RotaryAttention& a, void* stream, AttentionForm form) const {
  check(a);
  const Functions& kernels = functions(a.type, a.head_dim);
  const bool warpgroup = form == AttentionForm::kWarpgroup;
  void* kernel = warpgroup ? kernels.warpgroup_attention : kernels.attention;
  if (kernel == nullptr) {
    throw Error(ErrorCode::kInternal, "no attention kernel with wgmma for heads of " +
                                          std::to_string(a.head_dim) + " on this machine");
  }
  const int64_t width = a.heads * a.head_dim;
  const int64_t windows = a.batches * (a.tokens / a.window);
  const auto packed = [&](int64_t part) {
    return rows<const uint16_t>(a.qkv + static_cast<uint64_t>(part * width) * sizeof(uint16_t),
                                a.window * 3 * width, 3 * width, a.head_dim);
  };
  RotateArgs rotate;
  rotate.source = packed(1);
  // Rows of a head next to one another: tiles of them are read faster than from packed projections.
  rotate.target = rows<uint16_t>(a.scratch, a.window * width, a.head_dim, a.window * a.head_dim);
  rotate.cos = device_pointer<const float>(a.cos);
  rotate.sin = device_pointer<const float>(a.sin);
  rotate.batches = static_cast<int32_t>(windows);
  rotate.keys = static_cast<int32_t>(a.window);
  rotate.heads = static_cast<int32_t>(a.heads);
  const int64_t threads = windows * a.window * a.heads * (a.head_dim / 16);
  start(kernels.rotate_keys, {(threads + kRotateThreads - 1) / kRotateThreads, 1, 1},
        kRotateThreads, stream, &rotate);

  AttentionArgs attend;
  attend.query = packed(0);
  attend.key = rows<const uint16_t>(a.scratch, a.window * width, a.head_dim, a.window * a.head_dim);
  attend.value = packed(2);
  attend.result = rows<uint16_t>(a.result, a.window * width, width, a.head_dim);
  attend.cos = rotate.cos;
  attend.sin = rotate.sin;
  attend.queries = attend.keys = static_cast<int32_t>(a.window);
  const int64_t queries =
      warpgroup ? WarpgroupTile::kQueries : AttentionTile<64>::kQueries;
  start(kernel, {(a.window + queries - 1) / queries, a.heads, windows},
        warpgroup ? kWarpgroupThreads : kMmaThreads, stream, &attend,
        warpgroup ? kWarpgroupShared : 0);
}

void AttentionKernels::launch(const GridAttention& a, void* stream) const {
  check(a);
  const int64_t width = a.heads * a.head_dim;
  const int64_t cells = a.rows * a.columns;
  AttentionArgs attend;
  attend.query = rows<const uint16_t>(a.query, a.queries * width, width, a.head_dim);
  attend.key = rows<const uint16_t>(a.key, cells * width, width, a.head_dim);
  attend.value = rows<const uint16_t>(a.value, cells * width, width, a.head_dim);
  attend.result = rows<uint16_t>(a.result, a.queries * width, width, a.head_dim);
  attend.row_bias =
      rows<const float>(a.row_bias, a.heads * a.queries * a.rows, a.rows, a.queries * a.rows);
  attend.column_bias = rows<const float>(a.column_bias, a.heads * a.queries * a.columns, a.columns,
                                         a.queries * a.columns);
  attend.columns = static_cast<int32_t>(a.columns);
  attend.queries = static_cast<int32_t>(a.queries);
  attend.keys = static_cast<int32_t>(cells);
  constexpr int64_t kQueries = GridAttentionTile<64>::kQueries;  // the same for all sizes
  start(functions(a.type, a.head_dim).grid_attention,
        {(a.queries + kQueries - 1) / kQueries, a.heads, a.prompts}, kMmaThreads, stream, &attend);
}

void AttentionKernels::start(void* kernel, const std::array<int64_t, 3>& grid, unsigned threads,
                             void* stream, void* arguments, unsigned shared_bytes) const {
  void* parameters[] = {arguments};
  driver_.launch_kernel(kernel, static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]),
                        static_cast<unsigned>(grid[2]), threads, 1, 1, shared_bytes, stream, parameters,
                        nullptr);
}

const AttentionKernels& attention_kernels() {
  static const AttentionKernels kKernels(cuda_driver());
  return kKernels;
}

}  // namespace sam3trt
