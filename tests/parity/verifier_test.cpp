#include "verify/verifier.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stop_token>

#include "base/stop.hpp"
#include "compile/work_ahead.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

/// Counts the images that the reference ran on.
class CountingVerifier {
 public:
  CountingVerifier() {
    VerifierOptions options;
    options.stop = stop.get_token();
    options.progress = [this](int64_t, int64_t all) {
      ++images;
      all_images = all;
      if (on_image) on_image();
    };
    verifier.emplace(export_model(all_references().front()), std::move(options));
  }

  std::stop_source stop;
  std::atomic<int64_t> images = 0;
  std::atomic<int64_t> all_images = 0;
  std::function<void()> on_image;
  std::optional<Verifier> verifier;
};

TEST(Verifier, TheReferenceRunsOnceBesideWhatNeedsItLater) {
  CountingVerifier counting;
  Verifier& verifier = *counting.verifier;
  WorkAhead ahead(
      {[&] { static_cast<void>(verifier.calls("vision_encoder")); },
       [&] { static_cast<void>(verifier.calls("detector")); }, [&] { verifier.prepare_results(); }},
      [&] { counting.stop.request_stop(); });
  const auto calls = verifier.calls("detector");
  EXPECT_FALSE(calls.empty());
  ahead.finish();
  ahead.check();
  EXPECT_EQ(counting.images, counting.all_images);
  EXPECT_EQ(verifier.calls("detector").data(), calls.data());
}

TEST(Verifier, AReferenceThatIsCancelledEndsBetweenImages) {
  CountingVerifier counting;
  counting.on_image = [&] { counting.stop.request_stop(); };
  WorkAhead ahead({[&] { static_cast<void>(counting.verifier->calls("vision_encoder")); }},
                  [&] { counting.stop.request_stop(); });
  ahead.finish();
  EXPECT_THROW(ahead.check(), StoppedError);
  EXPECT_EQ(counting.images, 1);
  EXPECT_THROW(static_cast<void>(counting.verifier->calls("vision_encoder")), StoppedError);
}

TEST(Verifier, WhatItIsGivenTellsVerifiersApart) {
  const ModelFiles graphs = export_model(all_references().front());
  const std::string first = Verifier(graphs, {}).sha256();
  EXPECT_EQ(Verifier(graphs, {}).sha256(), first);
  VerifierOptions texts;
  texts.texts = {"circle"};
  EXPECT_NE(Verifier(graphs, texts).sha256(), first);
  VerifierOptions limits;
  limits.limits.prompts = 3;
  EXPECT_NE(Verifier(graphs, limits).sha256(), first);
  VerifierOptions images;
  images.images = {SAM3TRT_TEST_DATA "/../../test_images/cat.jpg"};
  EXPECT_NE(Verifier(graphs, images).sha256(), first);
}

}  // namespace
}  // namespace sam3trt::parity
