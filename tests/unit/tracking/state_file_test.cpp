#include "tracking/state_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "fake_tracker.hpp"
#include "tracking/tracking_session.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

class StateFile : public testing::Test {
 protected:
  StateFile() {
    ObjectPrompt click;
    click.id = 40;
    click.points = {{11, 11, true}};
    session.add({"ab", {}});
    session.add(click, 0);
    click.points[0].positive = false;
    session.add(click, 100);
    for (int64_t frame = 0; frame < 5; ++frame) (void)step(session, frame);
  }

  static std::vector<FrameResult> step(TrackingSession& session, int64_t frame) {
    const Image image = frame_of({{1, 2 + frame % 3, 3, 4}, {2, 10, 10, 4}});
    return session.step(view_of(image), frame);
  }

  [[nodiscard]] std::vector<std::byte> saved() const {
    return write_state({session.options(), session.state()}, owner);
  }

  /// With the digest of what it holds.
  static void sign(std::vector<std::byte>& bytes) {
    bytes.resize(bytes.size() - 64);
    const std::string digest = sha256_hex(bytes);
    for (const char c : digest) bytes.push_back(static_cast<std::byte>(c));
  }

  [[nodiscard]] std::string refusal(std::span<const std::byte> bytes) const {
    try {
      (void)read_state(bytes, owner, "s.bin");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  }

  FakeTracker model;
  TrackerConfig config = small_tracker();
  TrackingSession session{model, config, {}};
  StateOwner owner{"0123abcd", "hf", model.sizes()};
};

std::string text_of(const std::vector<FrameResult>& results) {
  std::string text;
  for (const FrameResult& result : results) {
    text += std::to_string(result.frame) + ":";
    for (const TrackedObject& object : result.objects) {
      text += " " + std::to_string(object.id) + "," + object.prompt.value_or("-") + "," +
              std::to_string(object.score) + "," + std::to_string(object.object_score) + "," +
              std::to_string(object.box[0]) + "," + std::to_string(object.area);
      for (const uint32_t count : object.counts) text += "/" + std::to_string(count);
    }
    text += "\n";
  }
  return text;
}

TEST_F(StateFile, ASessionGoesOnAsIfItHadNeverStopped) {
  FakeTracker other_model;
  TrackingSession other(other_model, config, {});
  SavedState state = read_state(saved(), owner, "s.bin");
  other.restore(std::move(state.state), state.options);
  EXPECT_GE(other_model.restored, 3 * 5);  // into the model's memory
  std::string expected;
  std::string found;
  for (int64_t frame = 5; frame < 40; ++frame) {
    expected += text_of(step(session, frame));
    found += text_of(step(other, frame));
  }
  expected += text_of(session.finish());
  found += text_of(other.finish());
  EXPECT_EQ(found, expected);
  EXPECT_THAT(expected, HasSubstr("ab"));
}

TEST_F(StateFile, PointsThatOnlyFillUpStayWhatTheyAre) {
  ObjectPrompt prompt;
  prompt.id = 7;
  prompt.points = {{11, 11, true}, {.padding = true}};
  session.add(prompt, 100);
  const SavedState state = read_state(saved(), owner, "s.bin");
  const auto& points = state.state.pending.back().prompt.points;
  ASSERT_EQ(points.size(), 2U);
  EXPECT_FALSE(points[0].padding);
  EXPECT_TRUE(points[1].padding);
}

TEST_F(StateFile, WhetherResultsHaveLogitsIsTheSessionsThatGoesOn) {
  FakeTracker other_model;
  TrackingSession other(other_model, config, {.logits = true});
  SavedState state = read_state(saved(), owner, "s.bin");
  other.restore(std::move(state.state), state.options);
  std::vector<FrameResult> results;
  for (int64_t frame = 5; frame < 40; ++frame) {
    std::ranges::move(step(other, frame), std::back_inserter(results));
  }
  std::array<size_t, 2> seen{};
  for (const FrameResult& result : results) {
    const bool is_new = result.frame >= 5;  // those before were held back in the file
    for (const TrackedObject& object : result.objects) {
      EXPECT_EQ(object.logits.values.empty(), !is_new) << result.frame;
      ++seen[is_new ? 1 : 0];
    }
  }
  EXPECT_THAT(seen, testing::Each(testing::Gt(0U)));
}

/// Sessions of Meta's rules also remember how well objects were seen; those of transformers keep
/// the bytes that they always had.
TEST_F(StateFile, QualitiesAreSavedForMetasSemanticsAlone) {
  SavedState state{session.options(), session.state()};
  ASSERT_FALSE(state.state.visual.empty());
  const auto as_hf = write_state(state, owner);
  EXPECT_EQ(read_state(as_hf, owner, "s.bin").state.visual[0].bank.conditioning()[0].quality, 0);
  owner.semantics = "meta";
  const auto as_meta = write_state(state, owner);
  const SavedState found = read_state(as_meta, owner, "s.bin");
  EXPECT_EQ(write_state(found, owner), as_meta);
  EXPECT_EQ(found.state.visual[0].bank.conditioning()[0].quality,
            state.state.visual[0].bank.conditioning()[0].quality);
  EXPECT_GT(as_meta.size(), as_hf.size());
}

TEST_F(StateFile, TheSameStateGivesTheSameBytes) {
  const std::vector<std::byte> bytes = saved();
  SavedState state = read_state(bytes, owner, "s.bin");
  EXPECT_EQ(write_state(state, owner), bytes);
}

TEST_F(StateFile, RefusesOtherFilesOtherModelsAndDamage) {
  std::vector<std::byte> bytes = saved();
  EXPECT_THAT(refusal({}), HasSubstr("not a saved session"));
  EXPECT_THAT(refusal(std::vector<std::byte>(500)), HasSubstr("not a saved session"));
  EXPECT_THAT(refusal(std::span(bytes).first(bytes.size() - 1)), HasSubstr("damaged"));
  bytes[100] ^= std::byte{1};
  EXPECT_THAT(refusal(bytes), HasSubstr("damaged"));
  bytes = saved();
  const StateOwner right = owner;
  owner.checkpoint = "another";
  EXPECT_THAT(refusal(bytes), HasSubstr("belongs to another model"));
  owner = right;
  owner.semantics = "meta";
  EXPECT_THAT(refusal(bytes), HasSubstr("belongs to another model"));
  owner = right;
  bytes[8] = std::byte{9};
  sign(bytes);
  EXPECT_THAT(refusal(bytes), HasSubstr("version 9"));
}

TEST_F(StateFile, BytesThatLieAreRefusedOrHarmless) {
  const std::vector<std::byte> good = saved();
  size_t refused = 0;
  for (size_t i = 12; i + 64 < good.size(); i += i < 400 ? 1 : 97) {
    for (const int value : {0x00, 0x7f, 0xff}) {
      std::vector<std::byte> bytes = good;
      bytes[i] = static_cast<std::byte>(value);
      sign(bytes);
      refused += refusal(bytes).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 100U);
}

TEST_F(StateFile, EveryCutIsRefused) {
  const std::vector<std::byte> good = saved();
  for (size_t size = 12; size + 64 < good.size(); size += size < 400 ? 1 : 251) {
    std::vector<std::byte> bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    bytes.resize(size + 64);
    sign(bytes);
    EXPECT_NE(refusal(bytes), "") << size;
  }
}

TEST_F(StateFile, RefusesStatesThatNoSessionCanBeIn) {
  const auto message = [&](const auto& change) {
    SavedState state{session.options(), session.state()};
    change(state.state);
    return refusal(write_state(state, owner));
  };
  EXPECT_EQ(message([](TrackingState&) {}), "");
  EXPECT_THAT(message([](TrackingState& s) { s.concepts.clear(); }), HasSubstr("text is missing"));
  EXPECT_THAT(message([](TrackingState& s) { s.max_id = 1; }), HasSubstr("never given"));
  EXPECT_THAT(message([](TrackingState& s) { s.text.tracks[1].id = s.text.tracks[0].id; }),
              HasSubstr("twice"));
  EXPECT_THAT(message([](TrackingState& s) { s.last = -4; }), HasSubstr("a frame is -4"));
  EXPECT_THAT(message([](TrackingState& s) { s.visual[0].bank = {}; }), HasSubstr("no memory"));
  EXPECT_THAT(message([](TrackingState& s) { s.text.tracks[0].score = INFINITY; }),
              HasSubstr("not finite"));
  EXPECT_THAT(message([](TrackingState& s) {
                HeldFrame held = *s.held[0];
                held.objects[0].object.counts.push_back(1);
                s.held[0] = std::make_shared<const HeldFrame>(std::move(held));
              }),
              HasSubstr("do not fill"));
  EXPECT_THAT(message([](TrackingState& s) { s.pending[0].prompt.points.clear(); }),
              HasSubstr("nothing points at it"));
  EXPECT_THAT(message([](TrackingState& s) {
                FrameRecord record = s.visual[0].bank.conditioning()[0];
                record.memory = std::make_shared<const HostKeptTensor>(std::vector<uint16_t>(3));
                s.visual[0].bank.put(record, true);
              }),
              HasSubstr("a memory has 3 numbers, expected 32"));
}

}  // namespace
}  // namespace sam3trt
