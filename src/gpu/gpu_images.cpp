#include "gpu/gpu_images.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/half.hpp"

namespace sam3trt {
namespace {

/// The table of make_pixel_table in the type of the model's input.
std::vector<std::byte> table_bytes(const ModelConfig& config, DType type) {
  const PixelTable table =
      make_pixel_table(config.rescale_factor, config.image_mean, config.image_std);
  std::vector<std::byte> bytes;
  const auto append = [&](const auto& value) {
    const auto view = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), view.begin(), view.end());
  };
  for (const auto& channel : table) {
    for (const float value : channel) {
      switch (type) {
        case DType::kF32:
          append(value);
          break;
        case DType::kF16:
          append(f32_to_f16(value));
          break;
        case DType::kBF16:
          append(f32_to_bf16(value));
          break;
        default:
          throw_bad_input("the vision encoder takes pixel_values as " + std::string(name_of(type)) +
                          "; expected a floating-point type");
      }
    }
  }
  return bytes;
}

}  // namespace

GpuImages::GpuImages(const CudaDevice& device, const KernelLibrary& kernels,
                     const ModelConfig& config, DType type, size_t max_images)
    : device_(device),
      kernels_(kernels),
      size_(config.image_size),
      type_(type),
      table_(device),
      source_(device),
      scratch_(device),
      pixels_(device, max_images * static_cast<size_t>(3 * size_ * size_) * size_of(type)),
      table_bytes_(table_bytes(config, type)) {}

ResizeAxis GpuImages::axis(const Stream& stream, Uploader& uploader, int64_t in_size) {
  const auto found = taps_.find(in_size);
  if (found != taps_.end()) return found->second.packed.at(found->second.buffer.data());
  Taps taps{pack_taps(in_size, size_), DeviceBuffer(device_)};
  const auto bytes = std::as_bytes(std::span(taps.packed.words));
  taps.buffer.reserve(bytes.size());
  uploader.upload(stream, taps.buffer.data(), bytes);
  const auto& kept = taps_.emplace(in_size, std::move(taps)).first->second;
  return kept.packed.at(kept.buffer.data());
}

void GpuImages::load(const Stream& stream, Uploader& uploader,
                     std::span<const Image* const> images) {
  constexpr size_t kKeptTaps = 256;  // of different picture sizes
  if (taps_.size() > kKeptTaps) {
    uploader.wait(stream);
    taps_.clear();
  }
  if (!table_loaded_) {
    table_.reserve(table_bytes_.size());
    uploader.upload(stream, table_.data(), table_bytes_);
    table_loaded_ = true;
  }
  size_t source = 1;
  size_t scratch = 1;
  for (const Image* image : images) {
    source = std::max(source, image->rgb.size());
    scratch = std::max(scratch, static_cast<size_t>(image->height * size_) * 3);
  }
  source_.grow(stream, source);
  scratch_.grow(stream, scratch);
  const size_t stride = static_cast<size_t>(3 * size_ * size_) * size_of(type_);
  for (size_t i = 0; i < images.size(); ++i) {
    const Image& image = *images[i];
    uploader.upload(stream, source_.data(), std::as_bytes(std::span(image.rgb)));
    ResizeArgs args;
    args.source = device_pointer<const uint8_t>(source_.data());
    args.scratch = device_pointer<uint8_t>(scratch_.data());
    args.table = device_pointer<const void>(table_.data());
    args.target = device_pointer<void>(pixels_.data() + i * stride);
    args.half = size_of(type_) == 2;
    args.in_width = static_cast<int32_t>(image.width);
    args.in_height = static_cast<int32_t>(image.height);
    args.out_width = args.out_height = static_cast<int32_t>(size_);
    args.columns = axis(stream, uploader, image.width);
    args.rows = axis(stream, uploader, image.height);
    kernels_.resize_image(stream, args);
  }
}

}  // namespace sam3trt
