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
      raw_(device),
      source_(device),
      written_(device),
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

/// Where the image's packed RGB lies when the stream gets there.
const uint8_t* GpuImages::to_rgb(const Stream& stream, Uploader& uploader, const ImageView& image) {
  const PackedSource source(image);
  const auto host_bytes = [](const void* from, int64_t count) {
    return std::span(static_cast<const std::byte*>(from), static_cast<size_t>(count));
  };
  if (image.memory == MemoryKind::kHost && source.is_packed()) {
    uploader.upload(stream, source_.data(), host_bytes(image.data, source.bytes));
    return device_pointer<const uint8_t>(source_.data());
  }
  PackArgs args = source.arguments();
  if (image.memory == MemoryKind::kHost) {
    const bool apart = image.format == PixelFormat::kNv12 && image.chroma != nullptr;
    const auto room = static_cast<size_t>(source.bytes + (apart ? source.chroma_bytes() : 0));
    raw_.grow(stream, room);
    uploader.upload(stream, raw_.data(), host_bytes(image.data, source.bytes));
    const auto behind = raw_.data() + static_cast<DevicePointer>(source.bytes);
    if (apart) uploader.upload(stream, behind, host_bytes(image.chroma, source.chroma_bytes()));
    args.source = device_pointer<const uint8_t>(raw_.data());
    args.chroma =
        apart ? device_pointer<const uint8_t>(behind) : args.source + image.height * source.stride;
  } else if (source.is_packed()) {
    return args.source;
  }
  args.target = device_pointer<uint8_t>(source_.data());
  kernels_.pack_image(stream, args);
  return args.target;
}

void GpuImages::load(const Stream& stream, Uploader& uploader, std::span<const ImageView> images) {
  constexpr size_t kKeptTaps = 256;  // of different image sizes
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
  for (const ImageView& image : images) {
    source = std::max(source, static_cast<size_t>(image.width * image.height * 3));
    scratch = std::max(scratch, static_cast<size_t>(image.height * size_) * 3);
    if (image.stream == nullptr) continue;
    stream.driver().event_record(written_.handle(), image.stream);
    stream.wait(written_);
  }
  source_.grow(stream, source);
  scratch_.grow(stream, scratch);
  const size_t stride = static_cast<size_t>(3 * size_ * size_) * size_of(type_);
  for (size_t i = 0; i < images.size(); ++i) {
    const ImageView& image = images[i];
    ResizeArgs args;
    args.source = to_rgb(stream, uploader, image);
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
