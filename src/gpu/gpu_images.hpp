#pragma once

#include <map>
#include <span>

#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"
#include "image/image.hpp"
#include "image/pack_pixels.hpp"
#include "runtime/model_files.hpp"

namespace sam3trt {

/// Images in host or device memory to the vision encoder's input on the GPU, bit for bit as
/// resize_antialias and to_pixel_values make it of their RGB.
class GpuImages {
 public:
  /// `type` is that of `pixel_values`: float32, float16 or bfloat16.
  GpuImages(const CudaDevice& device, const KernelLibrary& kernels, const ModelConfig& config,
            DType type, size_t max_images);

  /// Puts the work for at most max_images images into the stream, behind what the images' own
  /// streams hold now.
  void load(const Stream& stream, Uploader& uploader, std::span<const ImageView> images);

  /// [N, 3, S, S] after load().
  [[nodiscard]] DevicePointer pixel_values() const { return pixels_.data(); }

 private:
  struct Taps {
    PackedTaps packed;
    DeviceBuffer buffer;
  };

  [[nodiscard]] const uint8_t* to_rgb(const Stream& stream, Uploader& uploader,
                                      const ImageView& image);
  [[nodiscard]] ResizeAxis axis(const Stream& stream, Uploader& uploader, int64_t in_size);

  const CudaDevice& device_;
  const KernelLibrary& kernels_;
  int64_t size_;
  DType type_;
  DeviceBuffer table_;
  DeviceBuffer raw_;     ///< Bytes of an image of the host that is not packed RGB.
  DeviceBuffer source_;  ///< Packed RGB.
  Event written_;        ///< An image of the device is there.
  DeviceBuffer scratch_;
  DeviceBuffer pixels_;
  std::vector<std::byte> table_bytes_;
  bool table_loaded_ = false;
  std::map<int64_t, Taps> taps_;
};

}  // namespace sam3trt
