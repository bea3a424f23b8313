#include "model/export.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/stop.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// Exports of the small checkpoint into a folder of their own.
class Export : public testing::Test {
 protected:
  Export() {
    std::string name = (fs::temp_directory_path() / "sam3trt_export.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    request_.checkpoint = fs::path(SAM3TRT_SOURCE_DIR) / "models/tiny";
    request_.component = "all";
    request_.output = folder_ / "graphs";
  }
  ~Export() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  fs::path folder_;
  ExportRequest request_;
};

TEST_F(Export, TellsHowMuchOfEachFileIsWritten) {
  std::map<std::string, double> told;
  request_.progress = [&](const std::string& file, double done) {
    EXPECT_GT(done, told[file]);
    told[file] = done;
  };
  const auto written = export_component(request_);
  EXPECT_EQ(told.size() + 1, written.size());  // the tokenizer has no weights
  for (const auto& [file, done] : told) {
    EXPECT_EQ(done, 1.0) << file;
    EXPECT_TRUE(fs::exists(request_.output / file));
  }
}

TEST_F(Export, ThatIsStoppedLeavesNothing) {
  std::stop_source source;
  request_.stop = source.get_token();
  request_.progress = [&](const std::string& file, double done) {
    if (file == "detector.onnx" && done > 0.5) source.request_stop();
  };
  EXPECT_THROW(export_component(request_), StoppedError);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(Export, ThatIsStoppedBeforeItBeginsReadsNoWeights) {
  std::stop_source source;
  source.request_stop();
  request_.stop = source.get_token();
  request_.progress = [](const std::string& file, double /*done*/) { ADD_FAILURE() << file; };
  EXPECT_THROW(export_component(request_), StoppedError);
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace sam3trt
