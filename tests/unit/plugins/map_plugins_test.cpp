// The plugins of what stands between the mask head's convolutions and at both ends of the vision
// encoder, as TensorRT 10 calls them, on the fake of NVIDIA's driver.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "base/own_operators.hpp"
#include "cuda/buffer.hpp"
#include "plugin_calls.hpp"

namespace sam3trt {
namespace {

using namespace nvinfer1;

constexpr float kEpsilon = 0.25F;

PluginTensorDesc tensor(const std::vector<int64_t>& sizes, DataType type,
                        TensorFormat format = TensorFormat::kLINEAR) {
  PluginTensorDesc result = tensor_of(sizes, type);
  result.format = format;
  return result;
}

/// An operator as TensorRT sees it: its attributes, inputs, then outputs.
struct Described {
  const char* name;
  std::vector<std::pair<const char*, int32_t>> attributes;
  std::vector<PluginTensorDesc> inputs;
  std::vector<PluginTensorDesc> outputs;
};

const auto kEpsilonBits = std::bit_cast<int32_t>(kEpsilon);
constexpr DataType kHalf = DataType::kHALF;
constexpr DataType kFloat = DataType::kFLOAT;
constexpr TensorFormat kLast = TensorFormat::kHWC8;

Described gathered_norm() {
  return {kGatheredNorm,
          {{"epsilon", kEpsilonBits}},
          {tensor({2, 3, 8}, kHalf), tensor({4}, DataType::kINT64), tensor({8}, kFloat),
           tensor({8}, kFloat)},
          {tensor({4, 3, 8}, kHalf), tensor({4, 3, 8}, kHalf)}};
}

Described upsampled_sum() {
  return {kUpsampledSum,
          {},
          {tensor({2, 4, 8}, kHalf), tensor({3, 8, 4, 4}, kHalf), tensor({2}, DataType::kINT64)},
          {tensor({2, 8, 4, 4}, kHalf, kLast)}};
}

Described group_norm() {
  return {kGroupNorm,
          {{"epsilon", kEpsilonBits}, {"groups", 2}},
          {tensor({1, 8, 2, 3}, kHalf, kLast), tensor({8, 1, 1}, kFloat), tensor({8}, kFloat)},
          {tensor({1, 6, 8}, kHalf)}};
}

Described patches() {
  return {kPatches,
          {{"patch", 2}, {"window", 1}, {"bf16", 0}},
          {tensor({1, 3, 4, 4}, kFloat)},
          {tensor({1, 4, 16}, kHalf)}};
}

Described window_map() {
  return {kWindowMap,
          {{"grid", 4}, {"window", 2}},
          {tensor({1, 16, 8}, kHalf)},
          {tensor({1, 8, 4, 4}, kHalf, kLast), tensor({1, 16, 8}, kHalf)}};
}

std::unique_ptr<IPluginV3> make(const Described& op) {
  std::vector<PluginField> fields;
  for (const auto& [name, value] : op.attributes) {
    fields.emplace_back(name, &value, PluginFieldType::kINT32, 1);
  }
  const PluginFieldCollection collection{static_cast<int32_t>(fields.size()), fields.data()};
  for (auto* creator : operator_plugin_creators<SAM3TRT_FLAVOUR>()) {
    if (std::strcmp(creator->getPluginName(), op.name) != 0) continue;
    return std::unique_ptr<IPluginV3>(
        creator->createPlugin("node", &collection, TensorRTPhase::kBUILD));
  }
  return nullptr;
}

int32_t count_of(const std::vector<PluginTensorDesc>& tensors) {
  return static_cast<int32_t>(tensors.size());
}

int32_t configure(const Described& op) {
  const auto plugin = make(op);
  if (!plugin) return -1;
  const auto inputs = dynamic(op.inputs);
  const auto outputs = dynamic(op.outputs);
  return build(*plugin)->configurePlugin(inputs.data(), count_of(op.inputs), outputs.data(),
                                         count_of(op.outputs));
}

class MapPlugins : public testing::Test {
 protected:
  MapPlugins() : device_(0), stream_(device_) {}

  template <typename T>
  DeviceBuffer upload(const std::vector<T>& values) {
    DeviceBuffer buffer(device_, values.size() * sizeof(T));
    copy_to_device(stream_, buffer.data(), std::as_bytes(std::span(values)));
    stream_.synchronize();
    return buffer;
  }

  /// Runs the operator; the outputs, which all are of 16 bits.
  std::vector<std::vector<uint16_t>> run(const Described& op,
                                         const std::vector<const DeviceBuffer*>& inputs) {
    const auto pointer = [](const DeviceBuffer& buffer) {
      return reinterpret_cast<void*>(buffer.data());  // NOLINT(performance-no-int-to-ptr)
    };
    const auto plugin = make(op);
    std::vector<const void*> in;
    for (const DeviceBuffer* buffer : inputs) in.push_back(pointer(*buffer));
    std::vector<DeviceBuffer> results;
    std::vector<size_t> sizes;
    for (const PluginTensorDesc& output : op.outputs) {
      size_t size = 1;
      for (int32_t i = 0; i < output.dims.nbDims; ++i) {
        size *= static_cast<size_t>(output.dims.d[i]);
      }
      sizes.push_back(size);
      results.push_back(upload(std::vector<uint16_t>(size, 0xFFFF)));
    }
    std::vector<void*> out;
    for (const DeviceBuffer& buffer : results) out.push_back(pointer(buffer));
    const auto shapes = dynamic(op.inputs);
    const size_t bytes = build(*plugin)->getWorkspaceSize(shapes.data(), count_of(op.inputs),
                                                          nullptr, count_of(op.outputs));
    const DeviceBuffer workspace(device_, bytes + 1);
    EXPECT_EQ(runtime(*plugin)->onShapeChange(op.inputs.data(), count_of(op.inputs),
                                              op.outputs.data(), count_of(op.outputs)),
              0);
    EXPECT_EQ(
        runtime(*plugin)->enqueue(op.inputs.data(), op.outputs.data(), in.data(), out.data(),
                                  pointer(workspace), static_cast<cudaStream_t>(stream_.handle())),
        0);
    std::vector<std::vector<uint16_t>> values;
    for (size_t i = 0; i < results.size(); ++i) {
      auto& one = values.emplace_back(sizes[i]);
      copy_to_host(stream_, std::as_writable_bytes(std::span(one)), results[i].data());
    }
    stream_.synchronize();
    return values;
  }

  CudaDevice device_;
  Stream stream_;
};

std::vector<uint16_t> halves(size_t count) {
  std::vector<uint16_t> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = f32_to_f16(static_cast<float>(i * 7 % 31) - 9);
  return values;
}

TEST_F(MapPlugins, TakeAndGiveTheTypesAndLayoutsOfTheirOperatorsAndNoOthers) {
  for (const Described& op :
       {gathered_norm(), upsampled_sum(), group_norm(), patches(), window_map()}) {
    const auto plugin = make(op);
    ASSERT_NE(plugin, nullptr) << op.name;
    const int32_t outputs = count_of(op.outputs);
    ASSERT_EQ(build(*plugin)->getNbOutputs(), outputs) << op.name;
    std::vector<PluginTensorDesc> tensors = op.inputs;
    tensors.insert(tensors.end(), op.outputs.begin(), op.outputs.end());
    auto all = dynamic(tensors);
    const auto accepts = [&](size_t i) {
      return build(*plugin)->supportsFormatCombination(static_cast<int32_t>(i), all.data(),
                                                       count_of(op.inputs), outputs);
    };
    for (size_t i = 0; i < all.size(); ++i) {
      PluginTensorDesc& one = all[i].desc;
      const PluginTensorDesc right = one;
      for (const DataType type : {kHalf, kFloat, DataType::kINT64}) {
        for (const TensorFormat format : {TensorFormat::kLINEAR, kLast}) {
          one.type = type;
          one.format = format;
          EXPECT_EQ(accepts(i), type == right.type && format == right.format)
              << op.name << " " << i;
        }
      }
      one = right;
    }
    std::vector<DataType> types;
    for (const PluginTensorDesc& input : op.inputs) types.push_back(input.type);
    std::vector<DataType> given(op.outputs.size(), DataType::kINT8);
    EXPECT_EQ(build(*plugin)->getOutputDataTypes(given.data(), outputs, types.data(),
                                                 count_of(op.inputs)),
              0);
    for (size_t i = 0; i < given.size(); ++i) EXPECT_EQ(given[i], op.outputs[i].type) << op.name;
  }
}

TEST_F(MapPlugins, RefuseSizesThatDoNotFit) {
  const auto with = [](Described op, size_t input, const std::vector<int64_t>& sizes) {
    const PluginTensorDesc before = op.inputs[input];
    op.inputs[input] = tensor(sizes, before.type, before.format);
    return configure(op);
  };
  for (const Described& op :
       {gathered_norm(), upsampled_sum(), group_norm(), patches(), window_map()}) {
    EXPECT_EQ(configure(op), 0) << op.name;
  }
  EXPECT_NE(with(gathered_norm(), 0, {2, 3, 9}), 0);
  EXPECT_NE(with(gathered_norm(), 1, {4, 1}), 0);
  EXPECT_NE(with(gathered_norm(), 2, {9}), 0);
  EXPECT_NE(with(upsampled_sum(), 0, {2, 3, 8}), 0);
  EXPECT_NE(with(upsampled_sum(), 0, {2, 4, 16}), 0);
  EXPECT_NE(with(upsampled_sum(), 2, {3}), 0);
  EXPECT_NE(with(group_norm(), 0, {1, 16, 2, 3}), 0);
  EXPECT_NE(with(group_norm(), 1, {4}), 0);
  EXPECT_NE(with(patches(), 0, {1, 3, 5, 5}), 0);
  EXPECT_NE(with(patches(), 0, {1, 4, 4, 4}), 0);
  EXPECT_NE(with(patches(), 0, {1, 3, 4, 6}), 0);
  EXPECT_NE(with(window_map(), 0, {1, 15, 8}), 0);
  EXPECT_NE(with(window_map(), 0, {1, 16, 12}), 0);
}

TEST_F(MapPlugins, RefuseAttributesThatMakeNoSense) {
  const auto with = [](Described op, size_t attribute, int32_t value) {
    op.attributes.at(attribute).second = value;
    return make(op);
  };
  EXPECT_EQ(with(gathered_norm(), 0, std::bit_cast<int32_t>(-1.0F)), nullptr);
  EXPECT_EQ(with(group_norm(), 0, std::bit_cast<int32_t>(std::nanf(""))), nullptr);
  EXPECT_EQ(with(group_norm(), 1, 0), nullptr);
  EXPECT_EQ(with(group_norm(), 1, 33), nullptr);
  EXPECT_EQ(with(patches(), 0, 0), nullptr);
  EXPECT_EQ(with(patches(), 0, 17), nullptr);
  EXPECT_EQ(with(patches(), 1, 0), nullptr);
  EXPECT_EQ(with(window_map(), 1, 3), nullptr);
}

TEST_F(MapPlugins, GathersRowsAndNormalisesThem) {
  const auto rows = halves(2 * 3 * 8);
  const auto input = upload(rows);
  const auto index = upload(std::vector<int64_t>{1, 0, 1, 1});
  const auto gain = upload(std::vector<float>(8, 2));
  const auto shift = upload(std::vector<float>(8, 1));
  const auto found = run(gathered_norm(), {&input, &index, &gain, &shift});
  const std::vector<uint16_t> second(rows.begin() + 24, rows.end());
  EXPECT_EQ(std::vector(found[1].begin(), found[1].begin() + 24), second);
  float mean = 0;
  float variance = 0;
  for (size_t i = 0; i < 8; ++i) mean += f16_to_f32(second[i]) / 8;
  for (size_t i = 0; i < 8; ++i) variance += std::pow(f16_to_f32(second[i]) - mean, 2.0F) / 8;
  for (size_t i = 0; i < 8; ++i) {
    const float wanted = 2 * (f16_to_f32(second[i]) - mean) / std::sqrt(variance + kEpsilon) + 1;
    EXPECT_NEAR(f16_to_f32(found[0][i]), wanted, 3e-3F);
  }
}

TEST_F(MapPlugins, EnlargesAMapAndAddsALevel) {
  const auto tokens = halves(2 * 4 * 8);
  const auto levels = halves(3 * 8 * 16);
  const auto coarse = upload(tokens);
  const auto level = upload(levels);
  const auto index = upload(std::vector<int64_t>{2, 0});
  const auto found = run(upsampled_sum(), {&coarse, &level, &index});
  for (const size_t row : {0U, 1U}) {
    for (size_t pixel = 0; pixel < 16; ++pixel) {
      for (size_t channel = 0; channel < 8; ++channel) {
        const size_t above = pixel / 8 * 2 + pixel % 4 / 2;
        const size_t image = row == 0 ? 2 : 0;
        EXPECT_EQ(f16_to_f32(found[0][(row * 16 + pixel) * 8 + channel]),
                  f16_to_f32(tokens[(row * 4 + above) * 8 + channel]) +
                      f16_to_f32(levels[(image * 8 + channel) * 16 + pixel]));
      }
    }
  }
}

TEST_F(MapPlugins, NormalisesGroupsOfChannels) {
  const auto map = halves(6 * 8);
  const auto input = upload(map);
  const auto gain = upload(std::vector<float>(8, 0.5F));
  const auto shift = upload(std::vector<float>(8, 0.25F));
  const auto found = run(group_norm(), {&input, &gain, &shift});
  for (const size_t group : {0U, 1U}) {
    float mean = 0;
    float variance = 0;
    for (size_t i = 0; i < 24; ++i) mean += f16_to_f32(map[i / 4 * 8 + group * 4 + i % 4]) / 24;
    for (size_t i = 0; i < 24; ++i) {
      variance += std::pow(f16_to_f32(map[i / 4 * 8 + group * 4 + i % 4]) - mean, 2.0F) / 24;
    }
    for (size_t i = 0; i < 24; ++i) {
      const size_t at = i / 4 * 8 + group * 4 + i % 4;
      const float wanted =
          0.5F * (f16_to_f32(map[at]) - mean) / std::sqrt(variance + kEpsilon) + 0.25F;
      EXPECT_NEAR(f16_to_f32(found[0][at]), std::max(wanted, 0.0F), 2e-3F);
    }
  }
}

TEST_F(MapPlugins, MakesRowsOfPatches) {
  std::vector<float> pixels(3 * 16);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i);
  const auto input = upload(pixels);
  for (const bool bf16 : {false, true}) {
    Described op = patches();
    op.attributes[2].second = bf16 ? 1 : 0;
    const auto found = run(op, {&input});
    for (size_t column = 0; column < 16; ++column) {  // of the second patch of the upper two
      const size_t channel = column / 4;
      const size_t pixel = channel * 16 + column % 4 / 2 * 4 + 2 + column % 2;
      const float wanted = column < 12 ? pixels[pixel] : 0;
      const uint16_t bits = found[0][16 + column];
      EXPECT_EQ(bf16 ? bf16_to_f32(bits) : f16_to_f32(bits), wanted) << column;
    }
  }
}

TEST_F(MapPlugins, PutsTokensOfWindowsIntoTheOrderOfTheImage) {
  const auto tokens = halves(16 * 8);
  const auto input = upload(tokens);
  const auto found = run(window_map(), {&input});
  EXPECT_EQ(found[0], found[1]);
  constexpr size_t kPlaces[] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
  for (size_t cell = 0; cell < 16; ++cell) {
    for (size_t k = 0; k < 8; ++k) {
      EXPECT_EQ(found[0][cell * 8 + k], tokens[kPlaces[cell] * 8 + k]) << cell;
    }
  }
}

}  // namespace
}  // namespace sam3trt
