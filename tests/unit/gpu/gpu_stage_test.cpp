#include "gpu/gpu_stage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "fake_driver.hpp"

namespace sam3trt {
namespace {

/// What was asked of a context.
struct Asked {
  int shapes = 0;
  int enqueued = 0;
  DevicePointer input = 0;  ///< Of the last enqueue().
  bool fail = false;        ///< enqueue() throws.
};

/// x [1..4, 2] to y of the same shape; it does no work.
class CountingPlan : public LoadedPlan {
 public:
  explicit CountingPlan(Asked& asked) : asked_(asked) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] ProfileShape profile(const std::string& /*input*/) const override {
    return {{1, 2}, {1, 2}, {4, 2}};
  }
  [[nodiscard]] uint64_t activation_bytes() const override { return 64; }
  [[nodiscard]] std::string layers_json() const override { return "[]"; }
  [[nodiscard]] std::unique_ptr<PlanContext> make_context(
      ActivationMemory /*memory*/) const override {
    return std::make_unique<Context>(*this);
  }

 private:
  class Context : public PlanContext {
   public:
    explicit Context(const CountingPlan& plan) : plan_(plan) {}

    [[nodiscard]] const LoadedPlan& plan() const override { return plan_; }
    [[nodiscard]] uint64_t shaped_activation_bytes() override {
      return static_cast<uint64_t>(shape_.at(0)) * 64;
    }
    void set_activation_memory(uint64_t /*address*/, uint64_t /*bytes*/) override {}
    void set_input_shapes(const std::map<std::string, Shape>& shapes, void* /*stream*/) override {
      ++plan_.asked_.shapes;
      shape_ = shapes.at("x");
    }
    [[nodiscard]] Shape output_shape(const std::string& /*name*/) const override { return shape_; }
    void bind(const std::string& name, uint64_t address) override {
      if (name == "x") input_ = address;
    }
    void enqueue(void* /*stream*/) override {
      if (plan_.asked_.fail) throw Error(ErrorCode::kInternal, "enqueue failed");
      ++plan_.asked_.enqueued;
      plan_.asked_.input = input_;
    }
    [[nodiscard]] std::vector<LayerTime> time_layers(void* /*stream*/) override { return {}; }

   private:
    const CountingPlan& plan_;
    Shape shape_;
    uint64_t input_ = 0;
  };

  Asked& asked_;
  std::vector<TensorInfo> inputs_ = {{.name = "x", .dtype = DType::kF32, .shape = {-1, 2}}};
  std::vector<TensorInfo> outputs_ = {{.name = "y", .dtype = DType::kF32, .shape = {-1, 2}}};
};

class GpuStageTest : public testing::Test {
 protected:
  void run(int64_t rows, DevicePointer address) {
    stage_.set_input("x", {rows, 2}, address);
    stage_.run(stream_, activations_);
  }

  CudaDevice device_{0, fake_driver()};
  Stream stream_{device_};
  DeviceBuffer activations_{device_};
  DeviceBuffer memory_{device_, 1024};
  Asked asked_;
  CountingPlan plan_{asked_};
  GpuStage stage_{"stage", plan_, device_};
};

TEST_F(GpuStageTest, RecordsTheSecondOfEqualCallsAndLaunchesTheRecordFromThenOn) {
  const DevicePointer here = memory_.data();
  for (int i = 0; i < 5; ++i) run(1, here);
  EXPECT_EQ(asked_.shapes, 1);
  EXPECT_EQ(asked_.enqueued, 2);  // the first as it is, the second into a graph
}

TEST_F(GpuStageTest, KeepsRecordsOfCallsThatTakeTheirInputsFromOtherPlacesInTurn) {
  const DevicePointer here = memory_.data();
  const DevicePointer there = here + 256;
  for (int i = 0; i < 4; ++i) {
    run(1, here);
    run(1, there);
  }
  EXPECT_EQ(asked_.shapes, 1);
  EXPECT_EQ(asked_.enqueued, 4);
  run(1, there + 256);
  EXPECT_EQ(asked_.enqueued, 5);
  EXPECT_EQ(asked_.input, there + 256);
}

TEST_F(GpuStageTest, ForgetsTheOldestOfMoreRecordsThanItKeeps) {
  const auto place = [&](int i) { return memory_.data() + static_cast<DevicePointer>(i) * 64; };
  for (int i = 0; i < 5; ++i) {
    run(1, place(i));
    run(1, place(i));
  }
  EXPECT_EQ(asked_.enqueued, 10);
  run(1, place(4));
  EXPECT_EQ(asked_.enqueued, 10);
  run(1, place(0));
  EXPECT_EQ(asked_.enqueued, 11);
}

TEST_F(GpuStageTest, RecordsAnewWhereShapesOrActivationsChanged) {
  const DevicePointer here = memory_.data();
  for (int i = 0; i < 3; ++i) run(1, here);
  for (int i = 0; i < 3; ++i) run(2, here);  // for which the activations grow
  EXPECT_EQ(asked_.shapes, 2);
  EXPECT_EQ(asked_.enqueued, 4);
  for (int i = 0; i < 3; ++i) run(1, here);
  EXPECT_EQ(asked_.shapes, 3);
  EXPECT_EQ(asked_.enqueued, 6);
  activations_ = DeviceBuffer(device_, 4096);
  for (int i = 0; i < 3; ++i) run(1, here);
  EXPECT_EQ(asked_.shapes, 3);
  EXPECT_EQ(asked_.enqueued, 8);
}

TEST_F(GpuStageTest, ACallThatFailedIsAsIfItHadNotBeenMade) {
  const DevicePointer here = memory_.data();
  asked_.fail = true;
  EXPECT_THROW(run(1, here), Error);
  asked_.fail = false;
  for (int i = 0; i < 3; ++i) run(1, here);
  EXPECT_EQ(asked_.enqueued, 2);
}

TEST_F(GpuStageTest, SaysWhichInputIsMissing) {
  try {
    stage_.run(stream_, activations_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("stage: input x is missing"));
  }
}

}  // namespace
}  // namespace sam3trt
