#include "cuda/products.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.hpp"
#include "cuda/product_search.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "product_cases.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using testing::Not;

const CublasLt& fake_library() {
  static const CublasLt library(SAM3TRT_FAKE_CUBLASLT, fake_driver());
  return library;
}

TEST(Products, GiveWhatTheyAreDefinedAs) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_product_cases(device, fake_library(), [&](const ProductResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": differs by " << result.rms;
    EXPECT_GT(result.values, 0U) << result.name;
    EXPECT_LT(result.rms_exact, 0.1) << result.name;
  });
  EXPECT_EQ(cases, 17);
}

TEST(Products, ComeAfterNormalisationAndQuantisation) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_normalise_cases(device, {}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": differs by up to " << result.largest;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  EXPECT_EQ(cases, 9);
}

ProductSizes small_sizes() {
  ProductSizes sizes;
  sizes.rows = 3;
  sizes.inputs = sizes.outputs = 16;
  return sizes;
}

TEST(Products, RefuseSizesThatTheLibraryDoesNotTake) {
  const CudaDevice device(0, fake_driver());
  ProductSizes fp8 = small_sizes();
  fp8.fp8 = fp8.weight_rows = true;
  EXPECT_EQ(product_problem(fp8), "");
  for (int64_t ProductSizes::*size : {&ProductSizes::inputs, &ProductSizes::outputs}) {
    for (const int64_t value : {0, -16, 8, 40}) {
      ProductSizes bad = fp8;
      bad.*size = value;
      EXPECT_NE(product_problem(bad), "") << value;
      EXPECT_THROW(Product(fake_library(), bad), Error);
    }
    ProductSizes bad = small_sizes();
    bad.*size = 20;
    EXPECT_NE(product_problem(bad).find("multiples of 8"), std::string::npos);
    bad.*size = int64_t{1} << 40;
    EXPECT_NE(product_problem(bad), "");
  }
  ProductSizes bad = fp8;
  bad.rows = 0;
  EXPECT_NE(product_problem(bad), "");
  bad = fp8;
  bad.weight_rows = false;
  EXPECT_NE(product_problem(bad), "");
  bad = fp8;
  bad.fp8_result = bad.residual = true;
  EXPECT_NE(product_problem(bad), "");
}

TEST(Products, SayThatTheLibraryHasNoAlgorithm) {
  const CudaDevice device(0, fake_driver());
  ProductSizes sizes = small_sizes();
  sizes.fp8 = sizes.weight_rows = true;
  try {
    Product(fake_library(), sizes, 1, kProductAlignment, ProductScaling::kOuterVectors);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("CUBLAS_STATUS_NOT_SUPPORTED"), std::string::npos);
  }
}

TEST(Products, RefuseAddressesThatAreNotAligned) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const Product product(fake_library(), small_sizes());
  ProductAddresses at;
  at.input = 8;
  EXPECT_THROW(product.launch(at, stream.handle()), Error);
}

TEST(Products, TellTheirAlgorithm) {
  const CudaDevice device(0, fake_driver());
  const Product product(fake_library(), small_sizes(), 4);
  EXPECT_EQ(product.candidates(), 1U);
  EXPECT_NE(product.describe().find("tile 1, "), std::string::npos) << product.describe();
}

/// Of a size for which the library offers one tile, and others for more rows.
ProductSizes searched_sizes() {
  ProductSizes sizes = small_sizes();
  sizes.rows = 64;
  return sizes;
}

TEST(ProductSearch, FindsAFastAlgorithmThatTheLibraryOffersForNoSize) {
  const CudaDevice device(0, fake_driver());
  Product product(fake_library(), searched_sizes(), 4);
  const auto is = [&](const char* what) {
    return product.describe().find(what) != std::string::npos;
  };
  // The library offers tile 4 with option 1 and cluster shape 2.
  const ProductSearch::Run run{
      [&](int) { return is("tile 4") && is("option 0") && is("cluster 4") ? 30.0 : 50.0; },
      [] { return std::vector<int32_t>(1); }};
  const ChosenAlgorithm chosen = ProductSearch(fake_library(), product, run).find();
  EXPECT_THAT(chosen.description, HasSubstr("tile 4, "));
  EXPECT_THAT(chosen.description, HasSubstr("cluster 4, "));
  EXPECT_THAT(chosen.description, HasSubstr("option 0, "));
  EXPECT_EQ(chosen.microseconds, 30.0);
  EXPECT_EQ(chosen.first_microseconds, 50.0);
  EXPECT_EQ(chosen.candidates, 12U);  // three tiles with two options and two cluster shapes
  const Product again(fake_library(), small_sizes(), chosen.algorithm);
  EXPECT_EQ(again.describe(), chosen.description);
}

TEST(ProductSearch, DoesNotTakeAFastAlgorithmWhoseResultIsAnother) {
  const CudaDevice device(0, fake_driver());
  for (const bool fp8 : {false, true}) {
    ProductSizes sizes = searched_sizes();
    sizes.fp8 = sizes.fp8_result = sizes.weight_rows = fp8;
    Product product(fake_library(), sizes, 4);
    const Stream stream(device);
    const ProductOperands operands(device, stream, sizes);
    const auto is_wrong = [&] { return product.describe().find("tile 8") != std::string::npos; };
    int asked = 0;
    const ProductSearch::Run run{[&](int) { return is_wrong() ? 20.0 : 50.0; },
                                 [&] {
                                   if (is_wrong()) ++asked;
                                   return result_of(stream, product, operands.at(false));
                                 }};
    const ChosenAlgorithm chosen = ProductSearch(fake_library(), product, run).find();
    EXPECT_THAT(chosen.description, HasSubstr("tile 1, "));
    EXPECT_EQ(chosen.microseconds, 50.0);
    EXPECT_EQ(asked, 4);
  }
}

TEST(ProductSearch, TakesResultsThatAreRoundedOtherwise) {
  const CudaDevice device(0, fake_driver());
  Product product(fake_library(), searched_sizes(), 4);
  const auto is_second = [&] { return product.describe().find("tile 4") != std::string::npos; };
  std::vector<int32_t> other(100, 9);
  other.front() = 4000;  // one of a hundred
  const ProductSearch::Run run{[&](int) { return is_second() ? 40.0 : 50.0; },
                               [&] { return is_second() ? other : std::vector<int32_t>(100, 7); }};
  EXPECT_THAT(ProductSearch(fake_library(), product, run).find().description, HasSubstr("tile 4"));
}

TEST(ProductSearch, TriesWhatTheLibraryOffersAloneWhereLaunchingTakesTheTime) {
  const CudaDevice device(0, fake_driver());
  Product product(fake_library(), small_sizes(), 4);
  const ProductSearch::Run run{[](int) { return 5.0; }, [] { return std::vector<int32_t>(1); }};
  EXPECT_EQ(ProductSearch(fake_library(), product, run).find().candidates, 1U);
}

TEST(ProductSearch, RunsOnTheDevice) {
  const CudaDevice device(0, fake_driver());
  const ChosenAlgorithm chosen = choose_algorithm(fake_library(), device, searched_sizes());
  EXPECT_EQ(chosen.candidates, 12U);  // for which the fake's clock shows the same times
  EXPECT_GT(chosen.microseconds, 0);
  EXPECT_EQ(chosen.microseconds, chosen.first_microseconds);
  EXPECT_THAT(chosen.description, HasSubstr("tile 1, "));
}

TEST(ProductSearch, SaysWhyNoneRuns) {
  const CudaDevice device(0, fake_driver());
  Product product(fake_library(), small_sizes(), 4);
  const ProductSearch::Run run{
      [](int) -> double { throw Error(ErrorCode::kUnavailable, "the GPU is gone"); },
      [] { return std::vector<int32_t>(1); }};
  try {
    static_cast<void>(ProductSearch(fake_library(), product, run).find());
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("runs none of its algorithms for a product of 3 x 16"));
    EXPECT_THAT(error.what(), HasSubstr("the GPU is gone"));
  }
}

TEST(CublasLtLibrary, SaysWhatToInstallWhereItIsMissing) {
  try {
    const CublasLt library("/nowhere/libcublasLt.so.13", fake_driver());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("SAM3TRT_CUBLASLT_DIR"), std::string::npos);
  }
}

TEST(CublasLtLibrary, IsLookedForInTheFolderOfTheUserAlone) {
  ::setenv("SAM3TRT_CUBLASLT_DIR", "/nowhere", 1);
  const CublasLtInfo info = find_cublaslt();
  ::unsetenv("SAM3TRT_CUBLASLT_DIR");
  EXPECT_EQ(info.file, "");
  EXPECT_NE(info.problem.find("it is not in /nowhere, which SAM3TRT_CUBLASLT_DIR names"),
            std::string::npos)
      << info.problem;
}

TEST(CublasLtLibrary, TellsWhatLacks) {
  try {
    const CublasLt library(SAM3TRT_FAKE_CUDA, fake_driver());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("lacks cublasLtCreate"), std::string::npos);
  }
}

}  // namespace
}  // namespace sam3trt
