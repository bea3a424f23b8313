#include "compile/product_algorithms.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "base/temporary.hpp"
#include "fake_driver.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

class ProductAlgorithms : public testing::Test {
 protected:
  using Words = std::vector<std::array<uint64_t, 8>>;

  const CublasLt& library() {
    ++asked_;
    static const CublasLt library(SAM3TRT_FAKE_CUBLASLT, fake_driver());
    return library;
  }

  Words choose(int64_t rows = 64, bool again = false) {
    ProductChooser chooser(device_, folder_.path() / "timing", again,
                           [this]() -> const CublasLt& { return library(); });
    return chooser.choose(mlp_, rows);
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "timing")) {
      found.push_back(entry.path());
    }
    return found;
  }

  /// Makes every file say this instead.
  void replace(const std::string& text) const {
    for (const fs::path& file : files()) std::ofstream(file) << text;
  }

  std::string all_texts() const {
    std::string all;
    for (const fs::path& file : files()) {
      std::ifstream stream(file);
      all.append(std::istreambuf_iterator<char>(stream), {});
    }
    return all;
  }

  TemporaryFolder folder_{testing::TempDir()};
  CudaDevice device_{0, fake_driver()};
  OwnProduct mlp_{.op = kMlp, .type = DType::kF16, .fp8 = false, .sizes = {{16, 48}}};
  int asked_ = 0;
};

TEST_F(ProductAlgorithms, AreFoundOnceForASize) {
  ProductChooser chooser(device_, {}, false, [this]() -> const CublasLt& { return library(); });
  const Words words = chooser.choose(mlp_, 64);
  ASSERT_EQ(words.size(), 2U);
  EXPECT_EQ(asked_, 2);
  EXPECT_EQ(chooser.choose(mlp_, 64), words);
  EXPECT_EQ(asked_, 2);
  static_cast<void>(chooser.choose(mlp_, 128));
  EXPECT_EQ(asked_, 4);
}

TEST_F(ProductAlgorithms, AreKnownToLaterBuilds) {
  const Words words = choose();
  EXPECT_EQ(files().size(), 2U);
  // Another that the library has: tile 4 in the sixth word, which is not what would be found.
  Words other = words;
  for (auto& each : other) each[5] = (each[5] & ~uint64_t{0xFFFF}) | 4;
  ASSERT_NE(other, words);
  replace("{\"algorithm\": [" + [&] {
    std::string text;
    for (const uint64_t word : other[0]) text += (text.empty() ? "" : ", ") + std::to_string(word);
    return text;
  }() + "]}");
  EXPECT_EQ(choose(), other);
  EXPECT_EQ(choose(64, true), words);  // and says so to those that come
  EXPECT_EQ(choose(), words);
  static_cast<void>(choose(128));
  EXPECT_EQ(files().size(), 4U);
}

TEST_F(ProductAlgorithms, AreFoundAgainWhereTheFileIsDamagedOrOfAnotherLibrary) {
  const Words words = choose();
  const std::string right = all_texts();
  const std::string huge = "{\"algorithm\": [" + std::string(5000, ' ') + "1,2,3,4,5,6,7,8]}";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1, 2]"),
        std::string("{\"algorithm\": [1, 2, 3]}"), std::string("{\"algorithm\": [\"a\"]}"),
        std::string("{\"algorithm\": [1, 2, 3, 4, 5, 6, 7, 8]}"), huge}) {
    replace(text);
    EXPECT_EQ(choose(), words) << text.substr(0, 40);
    EXPECT_EQ(all_texts(), right) << text.substr(0, 40);
  }
}

TEST_F(ProductAlgorithms, AreFoundWhereNothingCanBeKept) {
  std::ofstream(folder_.path() / "timing") << "a file";
  EXPECT_EQ(choose().size(), 2U);
}

}  // namespace
}  // namespace sam3trt
