#include "gpu/gpu_detections.hpp"

#include <cstring>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Where each result lies in the one block that is copied to the host, in bytes.
struct Layout {
  Layout(size_t prompts, size_t queries)
      : count(prompts * sizeof(int32_t)),
        presence(count + prompts * sizeof(int32_t)),
        query_index((presence + prompts * sizeof(float) + 15) / 16 * 16),
        score(query_index + prompts * queries * sizeof(int64_t)),
        box(score + prompts * queries * sizeof(float)),
        size(box + prompts * queries * 4 * sizeof(float)) {}

  size_t count;  // the flags of broken numbers lie before it
  size_t presence;
  size_t query_index;
  size_t score;
  size_t box;
  size_t size;
};

template <typename T>
T value_at(std::span<const std::byte> block, size_t offset, size_t index) {
  T value{};
  std::memcpy(&value, block.data() + offset + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

GpuDetections::GpuDetections(const CudaDevice& device, const KernelLibrary& kernels,
                             int64_t queries)
    : kernels_(kernels), queries_(queries), results_(device), host_(device) {
  if (queries > 0 && queries <= kMaxQueries) return;
  throw_bad_input("the model has " + std::to_string(queries) + " queries; on a GPU 1 to " +
                  std::to_string(kMaxQueries) + " are supported");
}

std::vector<PromptDetections> GpuDetections::run(const Stream& stream, Uploader& uploader,
                                                 const DetectorOutputs& outputs,
                                                 std::span<const std::array<int64_t, 2>> sizes,
                                                 float threshold) {
  const size_t prompts = sizes.size();
  const auto queries = static_cast<size_t>(queries_);
  const Layout layout(prompts, queries);
  results_.grow(stream, layout.size);
  host_.reserve(layout.size);
  Tensor pixels(DType::kF32, {static_cast<int64_t>(prompts), 2});
  for (size_t i = 0; i < 2 * prompts; ++i) {
    pixels.f32()[i] = static_cast<float>(sizes[i / 2][i % 2]);
  }
  fill_bytes(stream, results_.data(), std::byte{0}, layout.count);
  for (const auto& [values, each] : {std::pair{outputs.logits, queries_},
                                     {outputs.presence, int64_t{1}},
                                     {outputs.boxes, 4 * queries_}}) {
    kernels_.find_nonfinite(
        stream, {device_pointer<const float>(values), static_cast<int64_t>(prompts), each,
                 device_pointer<int32_t>(results_.data())});
  }
  SelectArgs args;
  args.logits = device_pointer<const float>(outputs.logits);
  args.presence = device_pointer<const float>(outputs.presence);
  args.boxes = device_pointer<const float>(outputs.boxes);
  args.size = device_pointer<const float>(uploader.upload(stream, "image_sizes", pixels));
  args.prompts = static_cast<int32_t>(prompts);
  args.queries = args.slots = static_cast<int32_t>(queries_);
  args.threshold = threshold;
  args.count = device_pointer<int32_t>(results_.data() + layout.count);
  args.query_index = device_pointer<int64_t>(results_.data() + layout.query_index);
  args.score = device_pointer<float>(results_.data() + layout.score);
  args.box = device_pointer<float>(results_.data() + layout.box);
  kernels_.select_detections(stream, args);
  copy_on_device(stream, results_.data() + layout.presence, outputs.presence,
                 prompts * sizeof(float));
  const std::span<std::byte> block(host_.data(), layout.size);
  copy_to_host(stream, block, results_.data());
  uploader.wait(stream);
  std::vector<PromptDetections> results(prompts);
  for (size_t p = 0; p < prompts; ++p) {
    results[p].finite = value_at<int32_t>(block, 0, p) == 0;
    if (!results[p].finite) continue;
    results[p].presence = sigmoid(value_at<float>(block, layout.presence, p));
    const auto count = static_cast<size_t>(value_at<int32_t>(block, layout.count, p));
    for (size_t slot = p * queries; slot < p * queries + count; ++slot) {
      Detection detection;
      detection.query = value_at<int64_t>(block, layout.query_index, slot);
      detection.score = value_at<float>(block, layout.score, slot);
      for (size_t i = 0; i < 4; ++i) {
        detection.box[i] = value_at<float>(block, layout.box, slot * 4 + i);
      }
      results[p].detections.push_back(detection);
    }
  }
  return results;
}

}  // namespace sam3trt
