#include "tracking/state_file.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "base/sha256.hpp"
#include "image/image.hpp"
#include "runtime/model_files.hpp"
#include "tracking/object_input.hpp"
#include "tracking/state_archive.hpp"

namespace sam3trt {
namespace {

constexpr std::string_view kMagic = "SAM3TRTS";
/// Of sessions of transformers' rules; Meta's remember more.
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMetaVersion = 2;
constexpr size_t kDigestSize = 64;
constexpr int64_t kMaxNumber = int64_t{1} << 40;  ///< Of frames, ids and counts.

/// Where a point that only fills up is kept, which no frame has: transformers' processors pad so.
constexpr double kPaddingPlace = -10;

// What each structure consists of, for both directions. The numbers are the bytes that an item of a
// list takes at least.

template <typename Archive>
void visit(Archive& archive, TrackOptions& options) {
  archive.optional(options.hot_start);
  archive(options.live);
  archive.optional(options.det_nms);
  archive.optional(options.fill_holes);
  std::optional<uint64_t> most = options.max_objects;
  archive.optional(most);
  options.max_objects = most;
  archive.optional(options.frames);
}

template <typename Archive>
void visit(Archive& archive, std::vector<PromptBox>& boxes) {
  archive.list(boxes, 33, [&](PromptBox& box) {
    for (double& value : box.box) archive(value);
    archive(box.positive);
  });
}

template <typename Archive>
void visit(Archive& archive, ObjectPrompt& prompt) {
  archive(prompt.id);
  archive.list(prompt.points, 17, [&](ObjectPoint& point) {
    if (point.padding) point.x = point.y = kPaddingPlace;
    archive(point.x);
    archive(point.y);
    archive(point.positive);
    point.padding = point.x == kPaddingPlace && point.y == kPaddingPlace;
  });
  archive.optional(prompt.box, [&](PixelBox& box) {
    for (double& value : box) archive(value);
  });
  archive.optional(prompt.mask, [&](ObjectMask& mask) {
    archive(mask.width);
    archive(mask.height);
    archive.numbers(mask.counts);
  });
}

template <typename Archive>
void visit(Archive& archive, std::vector<FrameRecord>& records) {
  archive.list(records, 15, [&](FrameRecord& record) {
    archive(record.frame);
    archive.kept(record.memory);
    archive.shared(record.pointer);
    archive(record.object_score);
    archive.plane(record.mask);
    if (archive.version >= kMetaVersion) {
      archive(record.quality);
      archive(record.own);
    }
  });
}

template <typename Archive>
void visit(Archive& archive, MemoryBank& bank) {
  std::vector<FrameRecord> conditioning = bank.conditioning();
  std::vector<FrameRecord> rolling = bank.rolling();
  visit(archive, conditioning);
  visit(archive, rolling);
  bank = MemoryBank(std::move(conditioning), std::move(rolling));
}

template <typename Archive>
void visit(Archive& archive, TextTrack& track) {
  archive(track.id);
  auto index = static_cast<uint64_t>(track.concept_index);
  archive(index);
  track.concept_index = static_cast<size_t>(index);
  archive(track.score);
  archive(track.first_frame);
  archive(track.unmatched);
  archive(track.keep_alive);
  archive.optional(track.last_hidden);
  archive(track.doomed);
  visit(archive, track.bank);
}

/// Two ids, and the frames on which both shared a detection.
using Shared = std::array<int64_t, 3>;

template <typename Archive>
void visit(Archive& archive, TextTracks& all) {
  archive.list(all.tracks, 62, [&](TextTrack& track) { visit(archive, track); });
  std::vector<Shared> shared;
  for (const auto& [pair, frames] : all.shared) {
    shared.push_back({pair.first, pair.second, frames});
  }
  archive.list(shared, sizeof(Shared), [&](Shared& entry) {
    for (int64_t& value : entry) archive(value);
  });
  for (const Shared& entry : shared) all.shared[{entry[0], entry[1]}] = entry[2];
}

template <typename Archive>
void visit(Archive& archive, HeldObject& held) {
  TrackedObject& object = held.object;
  archive(object.id);
  archive.optional(object.prompt);
  archive(object.score);
  auto object_score = static_cast<float>(object.object_score);  // as it has always been kept
  archive(object_score);
  object.object_score = object_score;
  for (float& value : object.box) archive(value);
  archive(object.area);
  archive.numbers(object.counts);
  archive(object.confirmed);
  std::optional<uint64_t> index = held.concept_index;
  archive.optional(index);
  held.concept_index = index;
}

template <typename Archive>
void visit(Archive& archive, TrackingState& state) {
  archive.optional(state.last);
  archive(state.reverse);
  archive(state.frames);
  archive(state.max_id);
  archive.list(state.concepts, 9, [&](Concept& wanted) {
    archive.optional(wanted.text);
    visit(archive, wanted.boxes);
  });
  archive.list(state.pending, 26, [&](PendingObject& pending) {
    archive(pending.frame);
    visit(archive, pending.prompt);
  });
  archive.list(state.visual, 24, [&](VisualTrack& track) {
    archive(track.id);
    visit(archive, track.bank);
  });
  visit(archive, state.text);
  archive.list(state.held, 32, [&](std::shared_ptr<const HeldFrame>& shared) {
    HeldFrame held = shared ? *shared : HeldFrame{};
    archive(held.frame);
    archive(held.width);
    archive(held.height);
    archive.list(held.objects, 59, [&](HeldObject& object) { visit(archive, object); });
    shared = std::make_shared<const HeldFrame>(std::move(held));
  });
}

template <typename Archive>
void visit(Archive& archive, TrackSizes& sizes) {
  for (int64_t* size :
       {&sizes.image, &sizes.grid, &sizes.width, &sizes.memory_channels, &sizes.masks}) {
    archive(*size);
  }
}

/// Checks that a session can be in a state that was read.
class StateCheck {
 public:
  StateCheck(const SessionReader& reader, const TrackSizes& sizes)
      : reader_(reader), sizes_(sizes) {}

  void check(const TrackingState& state) {
    number(state.last.value_or(0), "a frame");
    number(state.frames, "the number of frames");
    number(state.max_id + 1, "an id");
    for (const PendingObject& pending : state.pending) {
      number(pending.frame, "a frame");
      check_object_prompt(pending.prompt);
    }
    for (const VisualTrack& track : state.visual) {
      id(track.id, state);
      bank(track.bank);
    }
    for (const TextTrack& track : state.text.tracks) {
      id(track.id, state);
      number(track.first_frame, "a frame");
      number(track.unmatched, "a count");
      number(track.last_hidden.value_or(0) + 1, "a frame");
      number(std::abs(std::clamp(track.keep_alive, -kMaxNumber, kMaxNumber - 1)), "a count");
      finite(track.score);
      if (track.concept_index >= state.concepts.size()) reader_.refuse("a text is missing");
      bank(track.bank);
    }
    for (const auto& [pair, frames] : state.text.shared) number(frames, "a count");
    for (const auto& held : state.held) check(*held, state);
  }

 private:
  void number(int64_t value, const char* what) const {
    if (value < 0 || value > kMaxNumber) {
      reader_.refuse(std::string(what) + " is " + std::to_string(value));
    }
  }

  void finite(float value) const {
    if (!std::isfinite(value)) reader_.refuse("a number is not finite");
  }

  void id(int64_t value, const TrackingState& state) {
    number(value, "an id");
    if (value > state.max_id || !ids_.insert(value).second) {
      reader_.refuse("the id " + std::to_string(value) + " is there twice or was never given");
    }
  }

  void sized(size_t count, size_t size, const char* what) const {
    if (count == size) return;
    reader_.refuse(std::string(what) + " has " + std::to_string(count) + " numbers, expected " +
                   std::to_string(size));
  }

  void bank(const MemoryBank& bank) const {
    const auto side = static_cast<size_t>(sizes_.mask_side());
    for (const auto* records : {&bank.conditioning(), &bank.rolling()}) {
      std::set<int64_t> frames;
      for (const FrameRecord& record : *records) {
        number(record.frame, "a frame");
        if (!frames.insert(record.frame).second) reader_.refuse("a frame is remembered twice");
        if (record.memory) sized(record.memory->count(), sizes_.memory_size(), "a memory");
        if (record.pointer) {
          sized(record.pointer->size(), static_cast<size_t>(sizes_.width), "a pointer");
        }
        if (!record.mask.empty()) sized(record.mask.size(), side * side, "a mask");
        finite(record.object_score);
        finite(record.quality);
        if (record.pointer) std::ranges::for_each(*record.pointer, [&](float v) { finite(v); });
        std::ranges::for_each(record.mask.values(), [&](float v) { finite(v); });
        if (!record.memory) continue;
        constexpr uint16_t kExponent = 0x7f80;
        for (const uint16_t bits : record.memory->bf16()) {
          if ((bits & kExponent) == kExponent) reader_.refuse("a number is not finite");
        }
      }
    }
    const bool any = std::ranges::any_of(bank.conditioning(), [](const FrameRecord& record) {
      return record.memory && record.pointer;
    });
    if (!any) reader_.refuse("an object has no memory");
  }

  void check(const HeldFrame& held, const TrackingState& state) const {
    number(held.frame, "a frame");
    check_image_size(held.width, held.height, "a frame that is held back");
    for (const HeldObject& object : held.objects) {
      number(object.object.id, "an id");
      finite(object.object.score);
      finite(static_cast<float>(object.object.object_score));
      uint64_t pixels = 0;
      for (const uint32_t run : object.object.counts) pixels += run;
      if (pixels != static_cast<uint64_t>(held.width) * static_cast<uint64_t>(held.height)) {
        reader_.refuse("the run lengths of a mask do not fill its frame");
      }
      if (object.concept_index && *object.concept_index >= state.concepts.size()) {
        reader_.refuse("a text is missing");
      }
    }
  }

  const SessionReader& reader_;
  const TrackSizes& sizes_;
  std::set<int64_t> ids_;
};

uint32_t version_of(const StateOwner& owner) {
  return owner.semantics == semantics_name(Semantics::kMeta) ? kMetaVersion : kVersion;
}

std::string digest_of(std::span<const std::byte> bytes) { return sha256_hex(bytes); }

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What is between the magic number and the digest, which both are right.
std::span<const std::byte> checked_body(std::span<const std::byte> bytes,
                                        const std::string& where) {
  if (bytes.size() < kMagic.size() + kDigestSize || text_of(bytes.first(kMagic.size())) != kMagic) {
    throw_bad_input(where + " is not a saved session: it does not begin with \"" +
                    std::string(kMagic) + "\"");
  }
  const auto content = bytes.first(bytes.size() - kDigestSize);
  if (text_of(bytes.last(kDigestSize)) != digest_of(content)) {
    throw_bad_input(where + ": it is cut short or damaged (its SHA-256 is another one); save the " +
                    "session again");
  }
  return content.subspan(kMagic.size());
}

}  // namespace

std::vector<std::byte> write_state(const SavedState& saved, const StateOwner& owner) {
  SessionWriter writer;
  for (const char c : kMagic) writer(c);
  writer.version = version_of(owner);
  writer(writer.version);
  writer(owner.checkpoint);
  writer(owner.semantics);
  SavedState copy = saved;
  StateOwner of = owner;
  visit(writer, of.sizes);
  visit(writer, copy.options);
  visit(writer, copy.state);
  std::vector<std::byte> bytes = writer.bytes();
  const std::string digest = digest_of(bytes);
  const auto text = std::as_bytes(std::span(digest));
  bytes.insert(bytes.end(), text.begin(), text.end());
  return bytes;
}

SavedState read_state(std::span<const std::byte> bytes, const StateOwner& owner,
                      const std::string& where) {
  SessionReader reader(checked_body(bytes, where), where);
  reader(reader.version);
  if (reader.version != kVersion && reader.version != kMetaVersion) {
    reader.refuse("it has version " + std::to_string(reader.version) + ", expected " +
                  std::to_string(kVersion) + " or " + std::to_string(kMetaVersion));
  }
  StateOwner found;
  reader(found.checkpoint);
  reader(found.semantics);
  visit(reader, found.sizes);
  if (found.checkpoint != owner.checkpoint || found.semantics != owner.semantics ||
      found.sizes != owner.sizes) {
    throw_bad_input(where + " belongs to another model (checkpoint " +
                    found.checkpoint.substr(0, 12) + ", semantics " +
                    found.semantics.substr(0, 12) + "), and this one is " +
                    owner.checkpoint.substr(0, 12) + " with " + owner.semantics +
                    "; load it with the model that it was saved with");
  }
  if (reader.version != version_of(owner)) {
    reader.refuse("it has version " + std::to_string(reader.version) + ", and sessions of " +
                  owner.semantics + " have " + std::to_string(version_of(owner)));
  }
  SavedState saved;
  visit(reader, saved.options);
  visit(reader, saved.state);
  if (!reader.at_end()) reader.refuse("there are bytes behind its end");
  StateCheck(reader, owner.sizes).check(saved.state);
  return saved;
}

}  // namespace sam3trt
