#include "cuda/operators.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "base/sha256.hpp"
#include "cuda/fatbin.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/attention_warpgroup.hpp"
#include "cuda/kernels/box_bias.hpp"
#include "cuda/kernels/query_position.hpp"

namespace sam3trt {
namespace {

// Of a block, as the kernels are compiled.
constexpr int64_t kRotateThreads = 256;
constexpr unsigned kMmaThreads = 128;
constexpr unsigned kGridThreads = 256;
// Bytes that a block of every GPU from compute capability 8.0 on can share.
constexpr int64_t kGridShared = int64_t{99} * 1024;
constexpr int kMaxDynamicShared = 8;   // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int64_t kMaxGrid = 65535;    // of y and z
constexpr int64_t kMaxRows = 1 << 30;  // of queries and keys

/// Of a block of attention by wgmma.
struct WarpgroupBlock {
  int64_t queries = 0;
  unsigned threads = 0;
  unsigned shared = 0;  ///< Bytes; 0 where there is no such kernel.
};

template <int kDim>
constexpr WarpgroupBlock warpgroup_block() {
  using Sizes = WarpgroupSizes<kDim>;
  return {Sizes::Tile::kQueries, Sizes::kThreads, Sizes::kSharedElements * sizeof(uint16_t)};
}

constexpr WarpgroupBlock warpgroup_block(int64_t head_dim) {
  if (head_dim == 64) return warpgroup_block<64>();
  if (head_dim == 32) return warpgroup_block<32>();
  return {};
}

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

int64_t windows_of(const RotaryAttention& a) { return a.batches * (a.tokens / a.window); }

/// Queries (0), keys (1) or values (2) of the packed projections.
AttentionRows<const uint16_t> packed_rows(const RotaryAttention& a, int64_t part) {
  const int64_t width = a.heads * a.head_dim;
  return rows<const uint16_t>(a.qkv + static_cast<uint64_t>(part * width) * sizeof(uint16_t),
                              a.window * 3 * width, 3 * width, a.head_dim);
}

/// Rotated keys: rows of a head next to one another.
template <typename Element>
AttentionRows<Element> scratch_rows(const RotaryAttention& a) {
  return rows<Element>(a.scratch, a.window * a.heads * a.head_dim, a.head_dim,
                       a.window * a.head_dim);
}

AttentionArgs attention_args(const RotaryAttention& a) {
  const int64_t width = a.heads * a.head_dim;
  AttentionArgs attend;
  attend.query = packed_rows(a, 0);
  attend.key = scratch_rows<const uint16_t>(a);
  attend.value = packed_rows(a, 2);
  attend.result = rows<uint16_t>(a.result, a.window * width, width, a.head_dim);
  attend.cos = device_pointer<const float>(a.cos);
  attend.sin = device_pointer<const float>(a.sin);
  attend.queries = attend.keys = static_cast<int32_t>(a.window);
  return attend;
}

/// Of an attention whose queries, keys and values are [P, Q or `keys`, H, D] each.
template <typename Attention>
AttentionArgs separate_args(const Attention& a, int64_t keys) {
  const int64_t width = a.heads * a.head_dim;
  AttentionArgs attend;
  attend.query = rows<const uint16_t>(a.query, a.queries * width, width, a.head_dim);
  attend.key = rows<const uint16_t>(a.key, keys * width, width, a.head_dim);
  attend.value = rows<const uint16_t>(a.value, keys * width, width, a.head_dim);
  attend.result = rows<uint16_t>(a.result, a.queries * width, width, a.head_dim);
  attend.queries = static_cast<int32_t>(a.queries);
  attend.keys = static_cast<int32_t>(keys);
  return attend;
}

int64_t shared_bytes(const GridAttention& a) {
  const auto rows = static_cast<int32_t>(a.rows);
  const auto columns = static_cast<int32_t>(a.columns);
  switch (a.head_dim) {
    case 16:
      return grid_shared_bytes<16>(rows, columns);
    case 32:
      return grid_shared_bytes<32>(rows, columns);
    default:
      return grid_shared_bytes<64>(rows, columns);
  }
}

/// Of block x.
int64_t box_bias_blocks(const BoxBias& b) {
  const int64_t lines = b.prompts * b.queries * std::max(b.rows.lines, b.columns.lines);
  return tiles_of(lines, int64_t{kBlockThreads} * kBoxBiasLines);
}

BoxBiasAxis box_bias_axis(const BoxBias::Axis& axis, int32_t center) {
  return {device_pointer<const float>(axis.hidden_weight),
          device_pointer<const float>(axis.hidden_bias),
          device_pointer<const float>(axis.weight),
          device_pointer<const float>(axis.bias),
          device_pointer<float>(axis.result),
          static_cast<int32_t>(axis.lines),
          center};
}

void check(const BoxBias& b) {
  if (b.fits()) return;
  throw Error(ErrorCode::kInternal,
              "bias of " + std::to_string(b.prompts) + " x " + std::to_string(b.queries) +
                  " queries, " + std::to_string(b.boxed) + " of them with boxes, on " +
                  std::to_string(b.rows.lines) + " x " + std::to_string(b.columns.lines) +
                  " lines, " + std::to_string(b.heads) + " heads, " + std::to_string(b.hidden) +
                  " hidden values");
}

void check(const QueryPosition& p) {
  if (p.fits()) return;
  throw Error(ErrorCode::kInternal,
              "position of " + std::to_string(p.prompts) + " x " + std::to_string(p.queries) +
                  " queries, " + std::to_string(p.unboxed) + " without a box, by " +
                  std::to_string(p.frequency_count) + " frequencies and " +
                  std::to_string(p.hidden) + " hidden values to " + std::to_string(p.width));
}

void check(const PlainAttention& a) {
  if (a.fits()) return;
  throw Error(ErrorCode::kInternal,
              "attention of " + std::to_string(a.prompts) + " x " + std::to_string(a.queries) +
                  " queries to " + std::to_string(a.keys) + " keys, " + std::to_string(a.heads) +
                  " heads of " + std::to_string(a.head_dim));
}

void check(const GridAttention& a) {
  if (a.fits()) return;
  throw Error(ErrorCode::kInternal,
              "grid attention of " + std::to_string(a.prompts) + " x " + std::to_string(a.queries) +
                  " queries to " + std::to_string(a.rows) + " x " + std::to_string(a.columns) +
                  " cells, " + std::to_string(a.heads) + " heads of " + std::to_string(a.head_dim));
}

}  // namespace

bool has_form(const CudaDeviceInfo& gpu, AttentionForm form) {
  return form == AttentionForm::kMma ? gpu.major >= 8 : gpu.major == 9 && gpu.minor == 0;
}

uint64_t RotaryAttention::scratch_bytes() const {
  return static_cast<uint64_t>(windows_of(*this) * window * heads * head_dim) * sizeof(uint16_t);
}

bool PlainAttention::fits() const {
  return prompts > 0 && prompts <= kMaxGrid && queries > 0 && queries <= kMaxRows && keys > 0 &&
         keys <= kMaxRows && heads > 0 && heads <= kMaxGrid && has_attention_kernel(head_dim);
}

bool BoxBias::fits() const {
  const auto in_range = [](int64_t size, int64_t most) { return size > 0 && size <= most; };
  return in_range(prompts, kMaxGrid) && in_range(queries, kMaxRows) && boxed >= 0 &&
         boxed <= queries && in_range(hidden, kMaxBoxBiasHidden) && in_range(heads, kMaxGrid) &&
         in_range(rows.lines, kMaxGrid) && in_range(columns.lines, kMaxGrid) &&
         box_bias_blocks(*this) <= std::numeric_limits<int32_t>::max();
}

bool QueryPosition::fits() const {
  return prompts > 0 && prompts <= kMaxGrid && queries > 0 && queries <= kMaxGrid && unboxed >= 0 &&
         unboxed <= queries && frequency_count > 0 &&
         frequency_count <= kMaxQueryPositionInputs / 8 && hidden > 0 &&
         hidden <= kMaxQueryPositionHidden && width > 0 && width <= kMaxGrid * kBlockThreads;
}

bool GridAttention::fits() const {
  return prompts > 0 && queries > 0 && rows > 0 && columns > 0 && heads > 0 &&
         prompts <= kMaxGrid && heads <= kMaxGrid && queries <= kMaxRows && rows <= kGridShared &&
         columns <= kGridShared && has_attention_kernel(head_dim) &&
         shared_bytes(*this) <= kGridShared;
}

OperatorKernels::OperatorKernels(const CudaDriver& driver)
    : driver_(driver), gpus_(list_cuda_devices(driver)) {
  try {
    load();
  } catch (...) {
    unload();
    throw;
  }
}

OperatorKernels::~OperatorKernels() { unload(); }

void OperatorKernels::load() {
  driver_.library_load_data(&library_, operator_fatbin().data(), nullptr, nullptr, 0, nullptr,
                            nullptr, 0);
  const auto has_warpgroups = [](const CudaDeviceInfo& gpu) {
    return has_form(gpu, AttentionForm::kWarpgroup);
  };
  if (std::ranges::any_of(gpus_, has_warpgroups)) {
    driver_.library_load_data(&warpgroup_library_, warpgroup_attention_fatbin().data(), nullptr,
                              nullptr, 0, nullptr, nullptr, 0);
  }
  box_bias_ = kernel(library_, "sam3trt_box_bias");
  query_position_ = kernel(library_, "sam3trt_query_position");
  for (size_t t = 0; t < kTypes; ++t) {
    for (size_t s = 0; s < kSizes; ++s) {
      const std::string name =
          std::string(kTypeNames[t]) + "_" + std::to_string(kAttentionHeadDims[s]);
      Functions& functions = functions_[t][s];
      functions.attention = kernel(library_, "sam3trt_attention_" + name);
      functions.rotate_keys = kernel(library_, "sam3trt_rotate_keys_" + name);
      functions.grid_attention = kernel(library_, "sam3trt_grid_attention_" + name);
      allow_shared(functions.grid_attention, kGridShared, AttentionForm::kMma);
      const unsigned bytes = warpgroup_block(kAttentionHeadDims[s]).shared;
      if (warpgroup_library_ == nullptr || bytes == 0) continue;
      functions.warpgroup_attention =
          kernel(warpgroup_library_, "sam3trt_warpgroup_attention_" + name);
      allow_shared(functions.warpgroup_attention, bytes, AttentionForm::kWarpgroup);
    }
  }
  load_memory_attention();
  load_products();
  load_pixels();
}

void OperatorKernels::allow_shared(void* kernel, int64_t bytes, AttentionForm form) const {
  for (size_t gpu = 0; gpu < gpus_.size(); ++gpu) {
    if (!has_form(gpus_[gpu], form)) continue;
    driver_.kernel_set_attribute(kMaxDynamicShared, static_cast<int>(bytes), kernel,
                                 static_cast<int>(gpu));
  }
}

void OperatorKernels::unload() noexcept {
  for (void* library : {library_, warpgroup_library_, product_library_}) {
    if (library != nullptr) static_cast<void>(driver_.library_unload.status(library));
  }
}

void* OperatorKernels::kernel(void* library, const std::string& name) const {
  void* kernel = nullptr;
  driver_.library_get_kernel(&kernel, library, name.c_str());
  return kernel;
}

const CudaDeviceInfo& OperatorKernels::current_gpu() const {
  int device = 0;
  driver_.context_get_device(&device);
  return gpus_.at(static_cast<size_t>(device));
}

AttentionForm OperatorKernels::best_form(int64_t head_dim) const {
  const bool warpgroups =
      warpgroup_block(head_dim).shared > 0 && has_form(current_gpu(), AttentionForm::kWarpgroup);
  return warpgroups ? AttentionForm::kWarpgroup : AttentionForm::kMma;
}

size_t OperatorKernels::index_of(DType type) {
  if (type == DType::kF16) return 0;
  if (type == DType::kBF16) return 1;
  throw Error(ErrorCode::kInternal, "no attention kernel for " + std::string(name_of(type)));
}

const OperatorKernels::Functions& OperatorKernels::functions(DType type, int64_t head_dim) const {
  const auto size = std::ranges::find(kAttentionHeadDims, head_dim);
  if (size != kAttentionHeadDims.end()) {
    return functions_[index_of(type)][size - kAttentionHeadDims.begin()];
  }
  throw Error(ErrorCode::kInternal, "no attention kernel for heads of " + std::to_string(head_dim));
}

void OperatorKernels::launch(const RotaryAttention& a, void* stream, AttentionForm form) const {
  check(a);
  check_form(a.type, a.head_dim, form);
  rotate_keys(a, stream);
  attend(attention_args(a), {a.window, a.heads, windows_of(a)}, a.type, a.head_dim, form, stream);
}

void OperatorKernels::check_form(DType type, int64_t head_dim, AttentionForm form) const {
  if (form == AttentionForm::kMma || functions(type, head_dim).warpgroup_attention != nullptr) {
    return;
  }
  throw Error(ErrorCode::kInternal, "no attention kernel with wgmma for heads of " +
                                        std::to_string(head_dim) + " on this machine");
}

/// `sizes`: queries, heads, batches.
void OperatorKernels::attend(AttentionArgs args, const std::array<int64_t, 3>& sizes, DType type,
                             int64_t head_dim, AttentionForm form, void* stream) const {
  const Functions& kernels = functions(type, head_dim);
  const auto [queries, heads, batches] = sizes;
  if (form == AttentionForm::kWarpgroup) {
    const WarpgroupBlock block = warpgroup_block(head_dim);
    start(kernels.warpgroup_attention, {tiles_of(queries, block.queries), heads, batches},
          block.threads, stream, &args, block.shared);
  } else {
    constexpr int64_t kQueries = AttentionTile<64>::kQueries;  // the same for all sizes
    start(kernels.attention, {tiles_of(queries, kQueries), heads, batches}, kMmaThreads, stream,
          &args);
  }
}

void OperatorKernels::rotate_keys(const RotaryAttention& a, void* stream) const {
  RotateArgs rotate;
  rotate.source = packed_rows(a, 1);
  rotate.target = scratch_rows<uint16_t>(a);
  rotate.cos = device_pointer<const float>(a.cos);
  rotate.sin = device_pointer<const float>(a.sin);
  rotate.batches = static_cast<int32_t>(windows_of(a));
  rotate.keys = static_cast<int32_t>(a.window);
  rotate.heads = static_cast<int32_t>(a.heads);
  const int64_t threads = windows_of(a) * a.window * a.heads * (a.head_dim / 16);
  start(functions(a.type, a.head_dim).rotate_keys, {tiles_of(threads, kRotateThreads), 1, 1},
        kRotateThreads, stream, &rotate);
}

void OperatorKernels::launch(const PlainAttention& a, void* stream, AttentionForm form) const {
  check(a);
  check_form(a.type, a.head_dim, form);
  attend(separate_args(a, a.keys), {a.queries, a.heads, a.prompts}, a.type, a.head_dim, form,
         stream);
}

void OperatorKernels::launch(const BoxBias& b, void* stream) const {
  check(b);
  BoxBiasArgs args;
  args.boxes = device_pointer<const float>(b.boxes);
  args.axes[0] = box_bias_axis(b.rows, 1);
  args.axes[1] = box_bias_axis(b.columns, 0);
  args.prompts = static_cast<int32_t>(b.prompts);
  args.queries = static_cast<int32_t>(b.queries);
  args.boxed = static_cast<int32_t>(b.boxed);
  args.hidden = static_cast<int32_t>(b.hidden);
  args.heads = static_cast<int32_t>(b.heads);
  start(box_bias_, {box_bias_blocks(b), 2, tiles_of<int64_t>(b.heads, kBoxBiasHeads)},
        kBlockThreads, stream, &args);
}

void OperatorKernels::launch(const QueryPosition& p, void* stream) const {
  check(p);
  QueryPositionArgs args;
  args.boxes = device_pointer<const float>(p.boxes);
  args.frequencies = device_pointer<const float>(p.frequencies);
  args.hidden_weight = device_pointer<const float>(p.hidden_weight);
  args.hidden_bias = device_pointer<const float>(p.hidden_bias);
  args.weight = device_pointer<const float>(p.weight);
  args.bias = device_pointer<const float>(p.bias);
  args.result = device_pointer<float>(p.result);
  args.prompts = static_cast<int32_t>(p.prompts);
  args.queries = static_cast<int32_t>(p.queries);
  args.unboxed = static_cast<int32_t>(p.unboxed);
  args.frequency_count = static_cast<int32_t>(p.frequency_count);
  args.hidden = static_cast<int32_t>(p.hidden);
  args.width = static_cast<int32_t>(p.width);
  start(query_position_,
        {tiles_of<int64_t>(p.prompts * p.queries, kQueryPositionRows),
         tiles_of<int64_t>(p.width, kBlockThreads), 1},
        kQueryPositionThreads, stream, &args);
}

void OperatorKernels::launch(const GridAttention& a, void* stream) const {
  check(a);
  AttentionArgs attend = separate_args(a, a.rows * a.columns);
  attend.row_bias =
      rows<const float>(a.row_bias, a.heads * a.queries * a.rows, a.rows, a.queries * a.rows);
  attend.column_bias = rows<const float>(a.column_bias, a.heads * a.queries * a.columns, a.columns,
                                         a.queries * a.columns);
  attend.rows = static_cast<int32_t>(a.rows);
  attend.columns = static_cast<int32_t>(a.columns);
  constexpr int64_t kQueries = GridAttentionTile<64>::kQueries;  // the same for all sizes
  start(functions(a.type, a.head_dim).grid_attention,
        {tiles_of(a.queries, kQueries), a.heads, a.prompts}, kGridThreads, stream, &attend,
        static_cast<unsigned>(shared_bytes(a)));
}

void OperatorKernels::start(void* kernel, const std::array<int64_t, 3>& grid, unsigned threads,
                            void* stream, void* arguments, unsigned shared_bytes) const {
  void* parameters[] = {arguments};
  driver_.launch_kernel(kernel, static_cast<unsigned>(grid[0]), static_cast<unsigned>(grid[1]),
                        static_cast<unsigned>(grid[2]), threads, 1, 1, shared_bytes, stream,
                        parameters, nullptr);
}

const std::string& operator_kernels_sha256() {
  static const std::string kDigest = [] {
    Sha256 hash;
    hash.update(operator_fatbin());
    hash.update(warpgroup_attention_fatbin());
    hash.update(product_fatbin());
    return hash.hex_digest();
  }();
  return kDigest;
}

const OperatorKernels& operator_kernels() {
  static const OperatorKernels kKernels(cuda_driver());
  return kKernels;
}

}  // namespace sam3trt
