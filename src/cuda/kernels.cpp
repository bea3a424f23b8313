#include "cuda/kernels.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "base/half.hpp"
#include "cuda/fatbin.hpp"
#include "image/image.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMaxGridY = 65535;  // limit of every compute capability, also in z

int64_t tiles(int64_t count, int64_t size) { return (count + size - 1) / size; }

int64_t blocks_for(int64_t threads) { return tiles(threads, kBlockThreads); }

void require(bool condition, const char* kernel, const char* rule) {
  if (condition) return;
  throw Error(ErrorCode::kInternal, std::string(kernel) + ": expected " + rule);
}

}  // namespace

KernelLibrary::KernelLibrary(const CudaDevice& device) {
  const CudaContextScope scope(*device.context());
  void* module = nullptr;
  device.driver().module_load_data(&module, kernel_fatbin().data());
  module_ = CudaHandle(device.context(), module, &CudaDriver::module_unload);
  pack_ = function("sam3trt_pack");
  resize_columns_ = function("sam3trt_resize_columns");
  resize_rows_ = function("sam3trt_resize_rows");
  select_ = function("sam3trt_select");
  find_nonfinite_ = function("sam3trt_find_nonfinite");
  count_ = function("sam3trt_count");
  above_ = function("sam3trt_above");
  clean_words_ = function("sam3trt_clean_words");
  clean_begin_ = function("sam3trt_clean_begin");
  clean_join_ = function("sam3trt_clean_join");
  clean_count_ = function("sam3trt_clean_count");
  clean_apply_ = function("sam3trt_clean_apply");
  won_ = function("sam3trt_won");
  lower_ = function("sam3trt_lower");
  mask_sigmoid_ = function("sam3trt_mask_sigmoid");
  mask_bits_ = function("sam3trt_mask_bits");
  mask_count_ = function("sam3trt_mask_count");
  mask_scan_columns_ = function("sam3trt_mask_scan_columns");
  mask_scan_tasks_ = function("sam3trt_mask_scan_tasks");
  mask_write_ = function("sam3trt_mask_write");
  keep_rows_ = function("sam3trt_keep_rows");
  gather_rows_ = function("sam3trt_gather_rows");
  enlarge_ = function("sam3trt_enlarge");
}

void* KernelLibrary::function(const char* name) const {
  void* function = nullptr;
  module_.driver().module_get_function(&function, module_.get(), name);
  return function;
}

template <typename Args>
void KernelLibrary::launch(const Stream& stream, void* kernel, const Grid& grid,
                           const Args& args) const {
  // The driver copies the arguments before it returns; it only lacks the const.
  void* parameters[] = {const_cast<Args*>(&args)};
  module_.driver().launch_kernel(
      kernel, static_cast<unsigned>(grid.x), static_cast<unsigned>(std::min(grid.y, kMaxGridY)),
      static_cast<unsigned>(grid.z), kBlockThreads, 1, 1, 0, stream.handle(), parameters, nullptr);
}

void KernelLibrary::pack_image(const Stream& stream, const PackArgs& args) const {
  require(args.width > 0 && args.height > 0, "pack_image", "sizes of at least 1");
  launch(stream, pack_, {blocks_for(args.width), args.height, 1}, args);
}

void KernelLibrary::resize_image(const Stream& stream, const ResizeArgs& args) const {
  require(args.in_width > 0 && args.in_height > 0 && args.out_width > 0 && args.out_height > 0,
          "resize_image", "sizes of at least 1");
  const int64_t blocks = blocks_for(args.out_width);
  launch(stream, resize_columns_, {blocks, args.in_height, 1}, args);
  launch(stream, resize_rows_, {blocks, args.out_height, 1}, args);
}

void KernelLibrary::select_detections(const Stream& stream, const SelectArgs& args) const {
  require(args.prompts > 0 && args.slots > 0, "select_detections",
          "at least one prompt and one slot");
  require(args.queries > 0 && args.queries <= kMaxQueries, "select_detections",
          "1 to 1024 queries");
  launch(stream, select_, {args.prompts, 1, 1}, args);
}

void KernelLibrary::find_nonfinite(const Stream& stream, const FiniteArgs& args) const {
  require(args.count > 0 && args.rows > 0, "find_nonfinite", "at least one value");
  launch(stream, find_nonfinite_, {blocks_for(args.count), args.rows, 1}, args);
}

void KernelLibrary::count_logits(const Stream& stream, const CountArgs& args, size_t planes) const {
  require(planes > 0 && planes <= static_cast<size_t>(kMaxGridY), "count_logits",
          "1 to 65535 planes");
  require(args.size > 0, "count_logits", "at least one value");
  launch(stream, count_, {kCountParts, static_cast<int64_t>(planes), 1}, args);
}

void KernelLibrary::find_above(const Stream& stream, const AboveArgs& args, size_t planes) const {
  require(planes > 0 && planes <= static_cast<size_t>(kMaxGridY), "find_above",
          "1 to 65535 planes");
  require(args.size > 0, "find_above", "at least one value");
  launch(stream, above_, {blocks_for(above_words(args.size)), static_cast<int64_t>(planes), 1},
         args);
}

void KernelLibrary::clean_planes(const Stream& stream, const CleanArgs& args, size_t planes) const {
  require(planes > 0 && planes <= static_cast<size_t>(kMaxGridY), "clean_planes",
          "1 to 65535 planes");
  require(args.side > 0 && args.side <= kMaxCleanSide, "clean_planes", "a side of 1 to 65535");
  const auto rows = static_cast<int64_t>(planes);
  const Grid words{blocks_for(args.side * above_words(args.side)), rows, 1};
  const Grid pixels{blocks_for(args.side * args.side), rows, 1};
  for (const int32_t foreground : {0, 1}) {
    CleanArgs pass = args;
    pass.foreground = foreground;
    launch(stream, clean_words_, words, pass);
    launch(stream, clean_begin_, pixels, pass);
    launch(stream, clean_join_, pixels, pass);
    launch(stream, clean_count_, pixels, pass);
    launch(stream, clean_apply_, pixels, pass);
  }
}

void KernelLibrary::count_won(const Stream& stream, const WonArgs& args) const {
  require(args.count > 0 && args.size > 0, "count_won", "at least one plane and one value");
  launch(stream, won_, {blocks_for(args.size), 1, 1}, args);
}

void KernelLibrary::lower_planes(const Stream& stream, const LowerArgs& args, size_t planes) const {
  require(planes > 0 && planes <= static_cast<size_t>(kMaxGridY), "lower_planes",
          "1 to 65535 planes");
  require(args.size > 0, "lower_planes", "at least one value");
  launch(stream, lower_, {blocks_for(args.size), static_cast<int64_t>(planes), 1}, args);
}

void KernelLibrary::mask_run_lengths(const Stream& stream, const MaskArgs& args,
                                     const std::vector<MaskTask>& tasks) const {
  require(args.count > 0 && args.count <= kMaxGridY, "mask_run_lengths", "1 to 65535 masks");
  require(tasks.size() == static_cast<size_t>(args.count), "mask_run_lengths", "one task per mask");
  require(args.side > 0, "mask_run_lengths", "logits of at least 1x1");
  int64_t width = 0;
  int64_t words = 0;
  for (const MaskTask& task : tasks) {
    width = std::max<int64_t>(width, task.width);
    words = std::max<int64_t>(words, (static_cast<int64_t>(task.height) + 31) / 32);
  }
  const int64_t columns = blocks_for(width);
  if (args.probabilities != nullptr) {
    const int64_t plane = static_cast<int64_t>(args.side) * args.side;
    launch(stream, mask_sigmoid_, {blocks_for(plane), args.count, 1}, args);
  }
  launch(stream, mask_bits_, {columns, words, args.count}, args);
  launch(stream, mask_count_, {columns, 1, args.count}, args);
  launch(stream, mask_scan_columns_, {args.count, 1, 1}, args);
  launch(stream, mask_scan_tasks_, {1, 1, 1}, args);
  launch(stream, mask_write_, {columns, 1, args.count}, args);
}

void KernelLibrary::keep_rows(const Stream& stream, const KeepArgs& args) const {
  require(args.rows > 0 && args.count > 0, "keep_rows", "at least one number");
  launch(stream, keep_rows_, {blocks_for(tiles(args.count, kKeptTogether)), args.rows, 1}, args);
}

void KernelLibrary::gather_rows(const Stream& stream, const GatherArgs& args) const {
  require(args.rows > 0 && args.count > 0, "gather_rows", "at least one number");
  launch(stream, gather_rows_, {blocks_for(tiles(args.count, kKeptTogether)), args.rows, 1}, args);
}

void KernelLibrary::enlarge(const Stream& stream, const EnlargeArgs& args) const {
  require(args.planes > 0 && args.planes <= kMaxGridY, "enlarge", "1 to 65535 planes");
  require(args.from > 0 && args.through >= 0, "enlarge", "planes of at least 1x1");
  require(args.to >= args.last(), "enlarge", "a side that is not smaller");
  launch(stream, enlarge_, {blocks_for(args.to), tiles(args.to, kEnlargedRows), args.planes}, args);
}

ResizeAxis PackedTaps::at(DevicePointer address) const {
  const auto* begin = device_pointer<const int32_t>(address);
  return {begin, begin + out_size, begin + 2 * static_cast<int64_t>(out_size), stride, precision};
}

PackedTaps pack_taps(int64_t in_size, int64_t out_size) {
  // Sizes from 1 to kMaxImageSide, so that all below fits into 32 bits.
  const ResizeTaps taps = make_resize_taps(in_size, out_size);
  PackedTaps packed;
  packed.out_size = static_cast<int32_t>(out_size);
  packed.stride = static_cast<int32_t>(taps.stride);
  packed.precision = taps.precision;
  packed.words.reserve(taps.first.size() + taps.size.size() + taps.weights.size());
  for (const int64_t first : taps.first) packed.words.push_back(static_cast<int32_t>(first));
  for (const int64_t size : taps.size) packed.words.push_back(static_cast<int32_t>(size));
  packed.words.insert(packed.words.end(), taps.weights.begin(), taps.weights.end());
  return packed;
}

std::array<std::array<uint16_t, 256>, 3> half_pixel_table(const PixelTable& table) {
  std::array<std::array<uint16_t, 256>, 3> result{};
  for (size_t c = 0; c < table.size(); ++c) {
    std::ranges::transform(table[c], result[c].begin(), f32_to_f16);
  }
  return result;
}

}  // namespace sam3trt
