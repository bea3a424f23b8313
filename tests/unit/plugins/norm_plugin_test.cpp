// The plugin of residual sums and their normalisation as TensorRT 10 calls it, on the fake of
// NVIDIA's driver, which this program finds where it looks for the real one (tests/CMakeLists.txt).
#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/half.hpp"
#include "base/own_operators.hpp"
#include "cuda/buffer.hpp"
#include "plugin_calls.hpp"

namespace sam3trt {
namespace {

using namespace nvinfer1;

constexpr int32_t kInputs = 4;
constexpr int32_t kOutputs = 2;
constexpr int64_t kRows = 3;
constexpr int64_t kColumns = 8;
constexpr float kEpsilon = 0.25F;

/// Inputs, then outputs.
std::vector<PluginTensorDesc> tensors() {
  const PluginTensorDesc low = tensor_of({1, kRows, kColumns}, DataType::kHALF);
  const PluginTensorDesc wide = tensor_of({1, kRows, kColumns}, DataType::kFLOAT);
  const PluginTensorDesc vector = tensor_of({kColumns}, DataType::kFLOAT);
  return {low, wide, vector, vector, low, wide};
}

class NormPlugin : public testing::Test {
 protected:
  NormPlugin() : device_(0), stream_(device_) {
    EXPECT_EQ(device_.info().name, "Fake GPU");
    for (auto* each : operator_plugin_creators<SAM3TRT_FLAVOUR>()) {
      if (std::strcmp(each->getPluginName(), kResidualNorm) == 0) creator_ = each;
    }
  }

  [[nodiscard]] std::unique_ptr<IPluginV3> make(float epsilon) const {
    const auto bits = std::bit_cast<int32_t>(epsilon);
    const PluginField field("epsilon", &bits, PluginFieldType::kINT32, 1);
    const PluginFieldCollection collection{1, &field};
    return std::unique_ptr<IPluginV3>(
        creator_->createPlugin("node", &collection, TensorRTPhase::kBUILD));
  }
  template <typename T>
  [[nodiscard]] DeviceBuffer upload(const std::vector<T>& values) const {
    DeviceBuffer buffer(device_, values.size() * sizeof(T));
    copy_to_device(stream_, buffer.data(), std::as_bytes(std::span(values)));
    stream_.synchronize();
    return buffer;
  }

  CudaDevice device_;
  Stream stream_;
  IPluginCreatorV3One* creator_ = nullptr;
};

TEST_F(NormPlugin, TakesAndGivesTheTypesOfItsOperatorAndNoOthers) {
  const auto plugin = make(kEpsilon);
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(build(*plugin)->getNbOutputs(), kOutputs);
  auto all = dynamic(tensors());
  for (int32_t i = 0; i < kInputs + kOutputs; ++i) {
    PluginTensorDesc& one = all[static_cast<size_t>(i)].desc;
    for (const DataType other : {DataType::kHALF, DataType::kFLOAT, DataType::kINT32}) {
      const DataType right = std::exchange(one.type, other);
      EXPECT_EQ(build(*plugin)->supportsFormatCombination(i, all.data(), kInputs, kOutputs),
                other == right)
          << i;
      one.type = right;
    }
  }
  const DataType inputs[] = {DataType::kBF16, DataType::kFLOAT, DataType::kFLOAT, DataType::kFLOAT};
  DataType outputs[kOutputs] = {};
  EXPECT_EQ(build(*plugin)->getOutputDataTypes(outputs, kOutputs, inputs, kInputs), 0);
  EXPECT_EQ(outputs[0], DataType::kBF16);
  EXPECT_EQ(outputs[1], DataType::kFLOAT);
}

TEST_F(NormPlugin, RefusesSizesThatDoNotFit) {
  const auto plugin = make(kEpsilon);
  const auto status = [&](size_t which, const std::vector<int64_t>& sizes) {
    auto changed = tensors();
    changed[which] = tensor_of(sizes, changed[which].type);
    auto all = dynamic(changed);
    return build(*plugin)->configurePlugin(all.data(), kInputs, all.data() + kInputs, kOutputs);
  };
  EXPECT_EQ(status(0, {1, kRows, kColumns}), 0);
  EXPECT_NE(status(0, {1, kRows, kColumns + 8}), 0);
  EXPECT_NE(status(0, {kRows, kColumns}), 0);
  EXPECT_NE(status(1, {1, kRows + 1, kColumns}), 0);
  EXPECT_NE(status(1, {2, kRows, kColumns}), 0);
  EXPECT_NE(status(2, {kColumns - 1}), 0);
  EXPECT_NE(status(3, {1}), 0);
  EXPECT_EQ(make(-1), nullptr);
  EXPECT_EQ(make(std::nanf("")), nullptr);
}

TEST_F(NormPlugin, GivesTheSumAndItsNormalisation) {
  const auto plugin = make(kEpsilon);
  const auto count = static_cast<size_t>(kRows * kColumns);
  std::vector<uint16_t> added(count);
  std::vector<float> residual(count);
  for (size_t i = 0; i < count; ++i) {
    added[i] = f32_to_f16(static_cast<float>(i % 3));
    residual[i] = 0.5F * static_cast<float>(i % 7);
  }
  const std::vector<float> gain(kColumns, 2);
  const std::vector<float> shift(kColumns, 1);
  const DeviceBuffer buffers[] = {upload(added), upload(residual), upload(gain),
                                  upload(shift), upload(added),    upload(residual)};
  const auto pointer = [&](int i) {
    return reinterpret_cast<void*>(buffers[i].data());  // NOLINT(performance-no-int-to-ptr)
  };
  const void* const inputs[] = {pointer(0), pointer(1), pointer(2), pointer(3)};
  void* const outputs[] = {pointer(4), pointer(5)};
  const auto all = tensors();
  EXPECT_EQ(runtime(*plugin)->onShapeChange(all.data(), kInputs, all.data() + kInputs, kOutputs),
            0);
  ASSERT_EQ(runtime(*plugin)->enqueue(all.data(), all.data() + kInputs, inputs, outputs, nullptr,
                                      static_cast<cudaStream_t>(stream_.handle())),
            0);
  std::vector<uint16_t> normalised(count);
  std::vector<float> sums(count);
  copy_to_host(stream_, std::as_writable_bytes(std::span(normalised)), buffers[4].data());
  copy_to_host(stream_, std::as_writable_bytes(std::span(sums)), buffers[5].data());
  stream_.synchronize();
  for (size_t row = 0; row < kRows; ++row) {
    float mean = 0;
    float variance = 0;
    for (size_t i = row * kColumns; i < (row + 1) * kColumns; ++i) {
      EXPECT_EQ(sums[i], f16_to_f32(added[i]) + residual[i]);
      mean += sums[i] / kColumns;
    }
    for (size_t i = row * kColumns; i < (row + 1) * kColumns; ++i) {
      variance += (sums[i] - mean) * (sums[i] - mean) / kColumns;
    }
    for (size_t i = row * kColumns; i < (row + 1) * kColumns; ++i) {
      const float wanted = 2 * (sums[i] - mean) / std::sqrt(variance + kEpsilon) + 1;
      EXPECT_NEAR(f16_to_f32(normalised[i]), wanted, 2e-3F);
    }
  }
}

}  // namespace
}  // namespace sam3trt
