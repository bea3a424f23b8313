#include "tracking/memory_bank.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fake_tracker.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// A record whose memory and pointer tell its frame.
FrameRecord record_of(int64_t frame) {
  const auto number = static_cast<uint16_t>(frame);
  return {frame, std::make_shared<const HostKeptTensor>(std::vector{number}),
          std::make_shared<const std::vector<float>>(1, static_cast<float>(frame)), 1.0F};
}

MemoryBank bank_of(std::vector<int64_t> conditioning, int64_t first, int64_t last) {
  MemoryBank bank;
  for (const int64_t frame : conditioning) bank.put(record_of(frame), true);
  for (int64_t frame = first; frame <= last; ++frame) {
    if (bank.conditioning(frame) == nullptr) bank.put(record_of(frame), false);
  }
  return bank;
}

/// Frame and temporal row of each memory.
std::vector<std::pair<int64_t, int64_t>> frames_of(const ObjectMemory& memory) {
  std::vector<std::pair<int64_t, int64_t>> frames;
  for (size_t i = 0; i < memory.frames.size(); ++i) {
    frames.emplace_back(memory.frames[i]->bf16().front(), memory.times[i]);
  }
  return frames;
}

std::vector<std::pair<float, float>> pointers_of(const ObjectMemory& memory) {
  std::vector<std::pair<float, float>> pointers;
  for (size_t i = 0; i < memory.pointers.size(); ++i) {
    pointers.emplace_back(memory.pointers[i]->front(), memory.pointer_times[i]);
  }
  return pointers;
}

using Pair = std::pair<int64_t, int64_t>;
using Time = std::pair<float, float>;

TEST(MemoryBank, TakesTheConditioningFrameAndTheSixBeforeThisOne) {
  const MemoryBank bank = bank_of({0}, 1, 19);
  EXPECT_THAT(frames_of(bank.select(20, false, 16, small_tracker())),
              UnorderedElementsAre(Pair(0, 6), Pair(14, 5), Pair(15, 4), Pair(16, 3), Pair(17, 2),
                                   Pair(18, 1), Pair(19, 0)));
}

TEST(MemoryBank, SkipsFramesThatWereNotRun) {
  MemoryBank bank = bank_of({0}, 1, 1);
  bank.put(record_of(4), false);
  EXPECT_THAT(frames_of(bank.select(6, false, 16, small_tracker())),
              UnorderedElementsAre(Pair(0, 6), Pair(1, 4), Pair(4, 1)));
}

TEST(MemoryBank, LooksAheadWhenTheVideoRunsBackwards) {
  const MemoryBank bank = bank_of({20}, 11, 19);
  EXPECT_THAT(frames_of(bank.select(10, true, 16, small_tracker())),
              UnorderedElementsAre(Pair(20, 6), Pair(11, 0), Pair(12, 1), Pair(13, 2), Pair(14, 3),
                                   Pair(15, 4), Pair(16, 5)));
  EXPECT_THAT(pointers_of(bank.select(18, true, 16, small_tracker())),
              UnorderedElementsAre(Time(20.0F, 2.0F / 15.0F), Time(19.0F, 1.0F / 15.0F)));
}

TEST(MemoryBank, TakesTheClosestConditioningFramesOnBothSidesFirst) {
  TrackerConfig config = small_tracker();
  config.max_cond_frames = 3;
  config.num_maskmem = 1;
  const MemoryBank bank = bank_of({0, 30, 32, 34, 100}, 1, 0);
  EXPECT_THAT(frames_of(bank.select(40, false, 16, config)),
              UnorderedElementsAre(Pair(34, 0), Pair(100, 0), Pair(32, 0)));
  config.max_cond_frames = -1;
  EXPECT_EQ(bank.select(40, false, 16, config).frames.size(), 5U);
}

TEST(MemoryBank, EquallyNearConditioningFramesComeInTheirOrder) {
  TrackerConfig config = small_tracker();
  config.max_cond_frames = 3;
  config.num_maskmem = 1;
  EXPECT_THAT(frames_of(bank_of({12, 11, 9, 8}, 1, 0).select(10, false, 16, config)),
              UnorderedElementsAre(Pair(9, 0), Pair(11, 0), Pair(12, 0)));
  EXPECT_THAT(frames_of(bank_of({8, 9, 11, 12}, 1, 0).select(10, false, 16, config)),
              UnorderedElementsAre(Pair(9, 0), Pair(11, 0), Pair(8, 0)));
}

TEST(MemoryBank, AConditioningFrameThatIsNotChosenFillsItsPlaceAmongTheLastOnes) {
  TrackerConfig config = small_tracker();
  config.max_cond_frames = 1;
  const MemoryBank bank = bank_of({0, 6, 7, 8}, 1, 9);
  EXPECT_THAT(
      frames_of(bank.select(10, false, 16, config)),
      UnorderedElementsAre(Pair(8, 6), Pair(9, 0), Pair(7, 2), Pair(6, 3), Pair(5, 4), Pair(4, 5)));
}

TEST(MemoryBank, GivesPointersOfAllPastConditioningFramesAndOfTheLastFrames) {
  TrackerConfig config = small_tracker();
  config.max_cond_frames = 1;
  const MemoryBank bank = bank_of({0, 2, 50}, 1, 20);
  const ObjectMemory memory = bank.select(6, false, 4, config);
  EXPECT_THAT(pointers_of(memory), UnorderedElementsAre(Time(0.0F, 2.0F), Time(2.0F, 4.0F / 3.0F),
                                                        Time(5.0F, 1.0F / 3.0F),
                                                        Time(4.0F, 2.0F / 3.0F), Time(3.0F, 1.0F)));
}

TEST(MemoryBank, CountsPointerTimesInOneLessThanTheNumberOfPointers) {
  const MemoryBank bank = bank_of({0}, 1, 3);
  EXPECT_THAT(pointers_of(bank.select(4, false, 5, small_tracker())),
              UnorderedElementsAre(Time(0.0F, 1.0F), Time(3.0F, 0.25F), Time(2.0F, 0.5F),
                                   Time(1.0F, 0.75F)));
  EXPECT_THAT(pointers_of(bank_of({0}, 1, 0).select(1, false, 1, small_tracker())),
              ElementsAre(Time(0.0F, 1.0F)));
}

TEST(MemoryBank, AConfirmedFrameMovesToTheConditioningOnes) {
  MemoryBank bank = bank_of({0}, 1, 16);
  bank.confirm(16);
  EXPECT_EQ(bank.rolling(16), nullptr);
  ASSERT_NE(bank.conditioning(16), nullptr);
  EXPECT_THAT(frames_of(bank.select(17, false, 16, small_tracker())),
              testing::Contains(Pair(16, 6)));
}

TEST(MemoryBank, DoesNotGrowWithTheNumberOfFrames) {
  const TrackerConfig config = small_tracker();
  MemoryBank bank = bank_of({0}, 1, 0);
  size_t largest = 0;
  for (int64_t frame = 1; frame < 10000; ++frame) {
    FrameRecord record = record_of(frame);
    record.pointer = std::make_shared<const std::vector<float>>(1);
    bank.put(std::move(record), false);
    bank.prune(frame, true, config);
    largest = std::max(largest, bank.size_bytes());
  }
  EXPECT_EQ(largest, bank.size_bytes());
  EXPECT_LE(bank.rolling().size(), 31U);
}

TEST(MemoryBank, OfManyConditioningFramesOnlyPointersStay) {
  const TrackerConfig config = small_tracker();
  MemoryBank bank = bank_of({0}, 1, 0);
  for (int64_t frame = 16; frame <= 1600; frame += 16) {
    bank.put(record_of(frame), true);
    bank.prune(frame, false, config);
  }
  const auto with_memory = std::ranges::count_if(
      bank.conditioning(), [](const FrameRecord& record) { return record.memory != nullptr; });
  EXPECT_EQ(with_memory, 5);
  EXPECT_EQ(bank.select(1601, false, 16, config).pointers.size(), 101U);
}

class Pruning : public testing::TestWithParam<std::array<int64_t, 3>> {};

TEST_P(Pruning, ChangesNothingForTheFramesToCome) {
  TrackerConfig config = small_tracker();
  config.max_object_pointers = GetParam()[0];
  config.num_maskmem = GetParam()[1];
  config.max_cond_frames = GetParam()[2];
  const int64_t pointers = config.max_object_pointers;
  MemoryBank whole = bank_of({0}, 1, 0);
  MemoryBank pruned = whole;
  for (int64_t frame = 1; frame < 100; ++frame) {
    for (MemoryBank* bank : {&whole, &pruned}) bank->put(record_of(frame), frame % 16 == 0);
    pruned.prune(frame, false, config);
    const ObjectMemory expected = whole.select(frame + 1, false, pointers, config);
    const ObjectMemory found = pruned.select(frame + 1, false, pointers, config);
    EXPECT_EQ(frames_of(found), frames_of(expected)) << frame;
    EXPECT_EQ(pointers_of(found), pointers_of(expected)) << frame;
  }
}

using Numbers = std::array<int64_t, 3>;
INSTANTIATE_TEST_SUITE_P(Sizes, Pruning,
                         testing::Values(Numbers{16, 7, 4}, Numbers{3, 7, 4}, Numbers{16, 2, 1},
                                         Numbers{5, 7, -1}, Numbers{2, 20, 3}));

TEST(MemoryBank, TheWayBackFromTheFirstFrameKeepsWhatItNeeds) {
  const TrackerConfig config = small_tracker();
  MemoryBank whole = bank_of({50}, 1, 0);
  MemoryBank pruned = whole;
  for (int64_t frame = 51; frame < 200; ++frame) {
    for (MemoryBank* bank : {&whole, &pruned}) bank->put(record_of(frame), false);
    pruned.prune(frame, true, config);
  }
  const ObjectMemory expected = whole.select(49, true, 16, config);
  const ObjectMemory found = pruned.select(49, true, 16, config);
  EXPECT_EQ(frames_of(found), frames_of(expected));
  EXPECT_EQ(pointers_of(found), pointers_of(expected));
}

/// A bank whose rolling records are seen well, but for those of `badly`.
MemoryBank seen_bank(std::vector<int64_t> conditioning, int64_t first, int64_t last,
                     const std::vector<int64_t>& badly) {
  MemoryBank bank;
  for (const int64_t frame : conditioning) bank.put(record_of(frame), true);
  for (int64_t frame = first; frame <= last; ++frame) {
    if (bank.conditioning(frame) != nullptr) continue;
    FrameRecord record = record_of(frame);
    record.quality = std::ranges::find(badly, frame) == badly.end() ? 0.5F : 0.01F;
    bank.put(record, false);
  }
  return bank;
}

TEST(SeenMemories, AreOfTheLastFramesOnWhichTheObjectWasSeenWellAndOfTheFrameBefore) {
  const MemoryBank bank = seen_bank({0}, 1, 19, {10, 14, 15, 18, 19});
  EXPECT_THAT(frames_of(bank.select_seen(20, false, 16, bank.quality(), small_tracker())),
              UnorderedElementsAre(Pair(0, 6), Pair(19, 0), Pair(17, 1), Pair(16, 2), Pair(13, 3),
                                   Pair(12, 4), Pair(11, 5)));
  const MemoryBank whole = seen_bank({0}, 1, 19, {});
  EXPECT_THAT(
      frames_of(whole.select_seen(20, false, 16, whole.quality(), small_tracker())),
      testing::UnorderedElementsAreArray(frames_of(whole.select(20, false, 16, small_tracker()))));
}

TEST(SeenMemories, PointersAreNumberedFromTheNearestAndTheFarthestGivesNone) {
  const MemoryBank bank = seen_bank({0, 2}, 1, 8, {6});
  const ObjectMemory memory = bank.select_seen(9, false, 5, bank.quality(), small_tracker());
  // Of 8, 7, 5, 4 three give pointers; 2 and 0 condition.
  EXPECT_THAT(pointers_of(memory),
              UnorderedElementsAre(Time(0, 9.0F / 4), Time(2, 7.0F / 4), Time(8, 1.0F / 4),
                                   Time(7, 2.0F / 4), Time(5, 3.0F / 4)));
}

TEST(SeenMemories, PointersOfConditioningFramesThatAreNotChosenAreLeftOut) {
  TrackerConfig config = small_tracker();
  config.max_cond_frames = 2;
  const MemoryBank bank = seen_bank({0, 3, 6}, 1, 9, {});
  const ObjectMemory memory = bank.select_seen(10, false, 2, bank.quality(), config);
  EXPECT_THAT(pointers_of(memory), UnorderedElementsAre(Time(6, 4), Time(3, 7)));
}

TEST(SeenMemories, ForwardsFrameZeroCountsOnlyAsTheFrameBefore) {
  const MemoryBank bank = seen_bank({3}, 0, 3, {});
  EXPECT_THAT(frames_of(bank.select_seen(4, false, 16, bank.quality(), small_tracker())),
              UnorderedElementsAre(Pair(3, 6), Pair(2, 1), Pair(1, 2)));
}

TEST(SeenMemories, PruningChangesNothingThatIsChosenLater) {
  const TrackerConfig config = small_tracker();
  MemoryBank pruned = seen_bank({0}, 0, 0, {});
  MemoryBank whole = pruned;
  for (int64_t frame = 1; frame < 90; ++frame) {
    const auto found = pruned.select_seen(frame, false, 16, pruned.quality(), config);
    const auto expected = whole.select_seen(frame, false, 16, whole.quality(), config);
    ASSERT_EQ(frames_of(found), frames_of(expected)) << frame;
    ASSERT_EQ(pointers_of(found), pointers_of(expected)) << frame;
    FrameRecord record = record_of(frame);
    record.quality = frame % 7 < 3 || (frame > 40 && frame < 60) ? 0.0F : 0.3F;
    const bool conditions = frame % 16 == 0;
    pruned.put(record, conditions, true);
    whole.put(record, conditions, true);
    pruned.prune_seen(frame, true, pruned.quality(), config);
    EXPECT_LE(pruned.rolling().size(), 50U);
  }
}

TEST(SeenMemories, AConditioningRecordTakesThePlaceOfTheRollingOne) {
  MemoryBank bank = seen_bank({0}, 1, 5, {});
  bank.put(record_of(4), true, true);
  EXPECT_EQ(bank.rolling(4), nullptr);
  EXPECT_NE(bank.conditioning(4), nullptr);
}

}  // namespace
}  // namespace sam3trt
