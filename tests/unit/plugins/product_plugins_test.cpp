// The plugins of products as TensorRT 10 calls them, on the fakes of NVIDIA's driver and of
// cuBLASLt, which this program finds where it looks for the real ones (tests/CMakeLists.txt).
#include <gmock/gmock.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/own_operators.hpp"
#include "cuda/buffer.hpp"
#include "cuda/product_choice.hpp"
#include "cuda/products.hpp"
#include "plugin_calls.hpp"

namespace sam3trt {
namespace {

using namespace nvinfer1;

constexpr int64_t kBatch = 2;
constexpr int64_t kTokens = 5;
constexpr int64_t kWidth = 32;
constexpr int64_t kHidden = 64;
constexpr float kEpsilon = 1e-6F;

/// An operator with its inputs.
struct Case {
  const char* op;
  bool fp8;

  /// Its inputs, then its result.
  [[nodiscard]] std::vector<PluginTensorDesc> tensors() const {
    const auto weight = [&](int64_t inputs, int64_t outputs) {
      return fp8 ? tensor_of({outputs, inputs / 4}, DataType::kINT32)
                 : tensor_of({inputs, outputs}, DataType::kHALF);
    };
    const auto low = [](const std::vector<int64_t>& sizes) {
      return tensor_of(sizes, DataType::kHALF);
    };
    const auto wide = [](const std::vector<int64_t>& sizes) {
      return tensor_of(sizes, DataType::kFLOAT);
    };
    const PluginTensorDesc input = low({kBatch, kTokens, kWidth});
    const PluginTensorDesc vector = wide({kWidth});
    if (std::strcmp(op, kMlp) == 0) {
      return {input,
              low({kHidden}),
              low({kWidth}),
              weight(kWidth, kHidden),
              weight(kHidden, kWidth),
              vector,
              vector,
              wide({6, 4}),
              input};
    }
    const PluginTensorDesc result = low({kBatch, kTokens, kHidden});
    if (std::strcmp(op, kResidualProduct) == 0) {
      return {input, result, low({kHidden}), weight(kWidth, kHidden), wide({3, 4}), result};
    }
    return {input, low({kHidden}), weight(kWidth, kHidden), vector, vector, wide({3, 4}), result};
  }
};

constexpr std::array<Case, 6> kCases = {{{kNormalisedProduct, false},
                                         {kNormalisedProduct, true},
                                         {kResidualProduct, false},
                                         {kResidualProduct, true},
                                         {kMlp, false},
                                         {kMlp, true}}};

class ProductPlugins : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { ::setenv("SAM3TRT_CUBLASLT_DIR", SAM3TRT_FAKES, 1); }

  ProductPlugins() : device_(0), stream_(device_) { EXPECT_EQ(device_.info().name, "Fake GPU"); }

  static IPluginCreatorV3One& creator() {
    for (auto* each : operator_plugin_creators<SAM3TRT_FLAVOUR>()) {
      if (std::strcmp(each->getPluginName(), GetParam().op) == 0) return *each;
    }
    throw std::runtime_error("there is no such plugin");
  }

  /// The plugin of a node with these attributes, as TensorRT's parser hands them on: integers of
  /// 32 bits.
  static std::unique_ptr<IPluginV3> parse(const std::vector<int64_t>& words) {
    std::vector<int32_t> values = {GetParam().fp8 ? 1 : 0, std::bit_cast<int32_t>(kEpsilon)};
    for (const int64_t word : words) values.push_back(static_cast<int32_t>(word));
    std::vector<PluginField> fields = {{"fp8", values.data(), PluginFieldType::kINT32, 1},
                                       {"epsilon", values.data() + 1, PluginFieldType::kINT32, 1}};
    for (size_t i = 0; i < words.size(); ++i) {
      fields.emplace_back(kAlgorithmAttributes.at(i), values.data() + 2 + i,
                          PluginFieldType::kINT32, 1);
    }
    const PluginFieldCollection collection{static_cast<int32_t>(fields.size()), fields.data()};
    return std::unique_ptr<IPluginV3>(
        creator().createPlugin("node", &collection, TensorRTPhase::kBUILD));
  }

  /// What a plan keeps of a plugin, and gives to an execution context.
  static std::unique_ptr<IPluginV3> through_plan(IPluginV3& plugin) {
    const auto* fields = runtime(plugin)->getFieldsToSerialize();
    std::vector<std::vector<char>> stored;
    std::vector<PluginField> read;
    for (int32_t i = 0; i < fields->nbFields; ++i) {
      const PluginField& field = fields->fields[i];
      EXPECT_EQ(field.type, PluginFieldType::kINT64);
      const auto* bytes = static_cast<const char*>(field.data);
      stored.emplace_back(bytes, bytes + sizeof(int64_t));
      read.emplace_back(field.name, stored.back().data(), field.type, field.length);
    }
    const PluginFieldCollection collection{static_cast<int32_t>(read.size()), read.data()};
    const std::unique_ptr<IPluginV3> loaded(
        creator().createPlugin("node", &collection, TensorRTPhase::kRUNTIME));
    return std::unique_ptr<IPluginV3>(runtime(*loaded)->attachToContext(nullptr));
  }

  /// The words of the algorithm that is chosen for the operator's products.
  std::vector<int64_t> chosen_words() const {
    std::vector<int64_t> words;
    const auto add = [&](const ProductSizes& sizes) {
      const auto chosen = choose_algorithm(cublaslt_library(), device_, sizes);
      for (const uint64_t bits : chosen.algorithm.data) {
        words.push_back(static_cast<int32_t>(bits));
        words.push_back(static_cast<int32_t>(bits >> 32U));
      }
    };
    if (std::strcmp(GetParam().op, kMlp) == 0) {
      MlpCall call;
      call.fp8 = GetParam().fp8;
      call.rows = kBatch * kTokens;
      call.width = kWidth;
      call.hidden = kHidden;
      add(call.hidden_product());
      add(call.product());
    } else {
      ProductCall call;
      call.fp8 = GetParam().fp8;
      call.added = std::strcmp(GetParam().op, kResidualProduct) == 0;
      call.rows = kBatch * kTokens;
      call.inputs = kWidth;
      call.outputs = kHidden;
      add(call.product());
    }
    return words;
  }

  /// Runs it; empty where it says that it failed.
  std::vector<uint16_t> run(IPluginV3& plugin) const {
    const auto tensors = GetParam().tensors();
    const auto count = static_cast<int32_t>(tensors.size() - 1);
    auto all = dynamic(tensors);
    EXPECT_EQ(build(plugin)->configurePlugin(all.data(), count, &all.back(), 1), 0);
    const size_t workspace = build(plugin)->getWorkspaceSize(all.data(), count, &all.back(), 1);
    EXPECT_EQ(runtime(plugin)->onShapeChange(tensors.data(), count, &tensors.back(), 1), 0);
    std::vector<DeviceBuffer> buffers;
    std::vector<const void*> inputs;
    size_t bytes = 0;
    for (const PluginTensorDesc& tensor : tensors) {
      bytes = tensor.type == DataType::kHALF ? 2 : 4;
      for (int32_t i = 0; i < tensor.dims.nbDims; ++i) {
        bytes *= static_cast<size_t>(tensor.dims.d[i]);
      }
      buffers.emplace_back(device_, bytes);
      fill_bytes(stream_, buffers.back().data(), std::byte{0x30}, bytes);
      inputs.push_back(reinterpret_cast<const void*>(buffers.back().data()));
    }
    auto* result = reinterpret_cast<void*>(buffers.back().data());
    const DeviceBuffer scratch(device_, workspace);
    const int32_t status = runtime(plugin)->enqueue(
        tensors.data(), &tensors.back(), inputs.data(), &result,
        reinterpret_cast<void*>(scratch.data()), static_cast<cudaStream_t>(stream_.handle()));
    std::vector<uint16_t> values(status == 0 ? bytes / 2 : 0);
    copy_to_host(stream_, std::as_writable_bytes(std::span(values)), buffers.back().data());
    stream_.synchronize();
    return values;
  }

  CudaDevice device_;
  Stream stream_;
};

TEST_P(ProductPlugins, TakeTheTypesOfTheirOperatorAndNoOthers) {
  const auto plugin = parse({});
  ASSERT_NE(plugin, nullptr);
  auto tensors = dynamic(GetParam().tensors());
  const auto count = static_cast<int32_t>(tensors.size() - 1);
  for (int32_t i = 0; i <= count; ++i) {
    EXPECT_TRUE(build(*plugin)->supportsFormatCombination(i, tensors.data(), count, 1)) << i;
    PluginTensorDesc& tensor = tensors[static_cast<size_t>(i)].desc;
    for (const DataType other : {DataType::kHALF, DataType::kFLOAT, DataType::kINT32}) {
      const DataType right = std::exchange(tensor.type, other);
      EXPECT_EQ(build(*plugin)->supportsFormatCombination(i, tensors.data(), count, 1),
                other == right)
          << i;
      tensor.type = right;
    }
  }
}

TEST_P(ProductPlugins, RunWithTheAlgorithmThatWasChosenForThem) {
  const std::vector<int64_t> words = chosen_words();
  const auto free = parse({});
  const std::vector<uint16_t> expected = run(*through_plan(*free));
  EXPECT_FALSE(expected.empty());
  const auto fixed = parse(words);
  EXPECT_EQ(run(*through_plan(*fixed)), expected);
}

TEST_P(ProductPlugins, DoNotRunWithAnAlgorithmThatTheLibraryRefuses) {
  const std::vector<int64_t> words = chosen_words();
  for (size_t i = 0; i < words.size(); ++i) {
    std::vector<int64_t> wrong = words;
    wrong[i] ^= 1;
    const auto plugin = parse(wrong);
    EXPECT_TRUE(run(*through_plan(*plugin)).empty()) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Operators, ProductPlugins, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& info) {
                           return std::string(info.param.op) + (info.param.fp8 ? "_fp8" : "_f16");
                         });

}  // namespace
}  // namespace sam3trt
