#include "gpu/gpu_stage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "fake_driver.hpp"
#include "fake_plan.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

/// The text encoder of the first tiny checkpoint on the fake driver, and on the CPU.
class GpuStageTest : public testing::Test {
 protected:
  GpuStageTest()
      : files_(export_model(all_references().front())),
        device_(0, fake_driver()),
        stream_(device_),
        activations_(device_),
        ids_on_device_(device_),
        stage_("text_encoder",
               *fake_plans(load_on_cpu(files_), files_.config, {}).at(Component::kTextEncoder),
               device_),
        cpu_(load_on_cpu(files_).take(Component::kTextEncoder)) {}

  [[nodiscard]] Tensor ids(int64_t rows) const {
    Tensor tensor(DType::kI64, {rows, files_.config.context_length});
    for (size_t i = 0; i < tensor.i64().size(); ++i) tensor.i64()[i] = static_cast<int64_t>(i % 50);
    return tensor;
  }

  void expect_the_results_of_the_cpu(int64_t rows) {
    const Tensor input = ids(rows);
    ids_on_device_.reserve(input.bytes().size());
    copy_to_device(stream_, ids_on_device_.data(), input.bytes());
    stage_.set_input("input_ids", input.shape(), ids_on_device_.data());
    stage_.run(stream_, activations_);
    const auto wanted = cpu_->run({{"input_ids", &input}});
    const Tensor& features = wanted.at("text_features");
    Tensor found(DType::kF32, features.shape());
    copy_to_host(stream_, found.bytes(), stage_.output("text_features"));
    stream_.synchronize();
    EXPECT_THAT(found.f32(), testing::Pointwise(testing::FloatNear(1e-5F), features.f32()))
        << rows << " rows";
  }

  ModelFiles files_;
  CudaDevice device_;
  Stream stream_;
  DeviceBuffer activations_;
  DeviceBuffer ids_on_device_;
  GpuStage stage_;
  std::unique_ptr<Engine> cpu_;
};

TEST_F(GpuStageTest, ChangesItsProfileWithTheShapesOfItsInputs) {
  activations_.reserve(size_t{1} << 20U);  // so that only the shapes change, not the memory
  // Thrice each, so that a graph is recorded and launched before the other profile's turn.
  for (const int64_t rows : {1, 1, 1, 3, 3, 3, 1, 1, 1, 2, 1, 3})
    expect_the_results_of_the_cpu(rows);
}

TEST_F(GpuStageTest, TakesWhatItsWidestProfileHolds) {
  const Tensor many = ids(FakePlanLimits{}.prompts + 1);
  try {
    stage_.set_input("input_ids", many.shape(), 1);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("text_encoder: input input_ids has the shape [4, "));
  }
}

}  // namespace
}  // namespace sam3trt::parity
