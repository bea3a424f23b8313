#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/stop.hpp"
#include "onnx/graph.hpp"
#include "onnx/ops.hpp"
#include "openvino/openvino_engine.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Matrix products one after the other: many seconds of work.
fs::path save_long_graph(const fs::path& folder) {
  constexpr int64_t kWidth = 1024;
  Graph graph("long");
  Value x = graph.add_input("x", DType::kF32, {"B", kWidth});
  const Value w = graph.add_constant(
      "/w", {kWidth, kWidth}, [] { return std::vector<float>(kWidth * kWidth, 1.0F / kWidth); });
  for (int i = 0; i < 100; ++i) x = add_matmul(graph, "/product" + std::to_string(i), x, w);
  graph.add_output("y", x);
  fs::create_directories(folder);
  graph.save(folder / "long.onnx");
  return folder / "long.onnx";
}

TEST(Stop, ARunThatIsUnderWayEndsAtOnce) {
  const fs::path folder = fs::path(testing::TempDir()) / "sam3trt_stop_test";
  std::stop_source source;
  const auto engine = load_openvino_engine(save_long_graph(folder), {.stop = source.get_token()});
  const Tensor small(DType::kF32, {1, 1024});
  EXPECT_EQ(engine->run({{"x", &small}}).size(), 1U);
  const Tensor large(DType::kF32, {8192, 1024});  // 1.7e12 operations in all
  Clock::time_point asked;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    asked = Clock::now();
    source.request_stop();
  });
  EXPECT_THROW((void)engine->run({{"x", &large}}), StoppedError);
  stopper.join();
  EXPECT_LT(Clock::now() - asked, std::chrono::seconds(5));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace sam3trt
