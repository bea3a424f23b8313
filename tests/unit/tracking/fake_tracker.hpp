#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/tracker_config.hpp"
#include "checkpoint/config.hpp"
#include "image/image.hpp"
#include "image/mask_cleanup.hpp"
#include "image/rle.hpp"
#include "runtime/postprocess.hpp"
#include "runtime/request.hpp"
#include "tracking/object_mask.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// The published configuration at the sizes of FakeTracker, without cleaning of masks.
inline TrackerConfig small_tracker() {
  TrackerConfig config = published_tracker();
  config.memory_channels = 2;
  config.num_maskmem = 7;
  config.mask_tokens = 4;
  config.fill_hole_area = 0;
  return config;
}

/// A tracker that sees squares of one colour, the red value, on frames of 16 x 16 pixels: a click
/// finds the colour under it, a pointer remembers it, and a text is the colours it looks for, one
/// letter each, "a" for 1.
class FakeTracker : public TrackerModel {
 public:
  static constexpr int64_t kSide = 16;

  [[nodiscard]] const TrackSizes& sizes() const override { return sizes_; }

  void encode(const ImageView& image) override {
    check_image(image);
    frame_ = to_image(image);
    ++encoded;
    if (fail_on == "encode") throw Error(ErrorCode::kInternal, "encode failed");
  }

  [[nodiscard]] std::vector<std::vector<TrackerDetection>> detect(std::span<const Prompt> concepts,
                                                                  std::array<int64_t, 2> /*size*/,
                                                                  float threshold) override {
    std::vector<std::vector<TrackerDetection>> all;
    for (const Prompt& wanted : concepts) {
      auto& found = all.emplace_back();
      for (const char letter : wanted.text.value_or("")) {
        const auto colour = static_cast<uint8_t>(letter - 'a' + 1);
        const float score = scores.contains(colour) ? scores.at(colour) : 0.9F;
        if (!(score > threshold) || area(colour) == 0) continue;
        const Logits mask = logits(colour, 6.0F);
        found.push_back({colour, score, mask, BitMask(mask)});
      }
    }
    return all;
  }

  [[nodiscard]] std::vector<DecodeOutput> decode(std::span<const DecodeInput> objects,
                                                 MaskPlace place) override {
    places.insert(place);
    std::vector<DecodeOutput> outputs;
    for (const DecodeInput& input : objects) {
      const uint8_t colour = colour_of(input);
      DecodeOutput& output = outputs.emplace_back();
      const std::vector<float> ious = {0.9F, 0.5F, 0.8F, 0.6F};
      const size_t mask = choose_mask(ious, input.multimask, false);
      const bool seen = area(colour) > 0;
      if (input.mask.empty()) {
        output.view.mask = seen ? logits(colour, 8.0F + static_cast<float>(mask))
                                : Logits(static_cast<size_t>(kSide * kSide), kNoObjectLogit);
      }
      output.view.pointer = pointer(colour, mask);
      output.view.iou = ious[mask];
      output.view.object_score = seen ? 6.0F : -6.0F;
      output.absent = std::make_shared<const std::vector<float>>(2, -1.0F);
      decoded.push_back(input);
    }
    if (fail_on == "decode") throw Error(ErrorCode::kInternal, "decode failed");
    return outputs;
  }

  [[nodiscard]] std::vector<LogitMask> clean(std::span<const LogitPlane> masks,
                                             int64_t max_area) override {
    std::vector<LogitMask> cleaned;
    for (const LogitPlane& mask : masks) {
      Logits logits = values_of(mask);
      clean_mask(logits, kSide, max_area);
      cleaned.emplace_back(std::move(logits));
    }
    return cleaned;
  }

  [[nodiscard]] std::vector<int64_t> won_areas(std::span<const LogitPlane> masks) override {
    return HostPlanes().won_areas(masks);
  }
  [[nodiscard]] std::vector<LogitPlane> lowered(std::span<const LogitPlane> masks,
                                                float most) override {
    return HostPlanes().lowered(masks, most);
  }

  [[nodiscard]] std::vector<FrameMask> frame_masks(std::span<const LogitPlane> logits,
                                                   std::array<int64_t, 2> size) override {
    std::vector<FrameMask> masks;
    for (const LogitPlane& plane : logits) {
      const auto pixels = positive_mask(plane.values(), kSide, size[0], size[1]);
      FrameMask& mask = masks.emplace_back();
      mask.counts = rle_counts(pixels, size[1], size[0]);
      mask.area = rle_area(mask.counts);
    }
    ++shown;
    return masks;
  }

  [[nodiscard]] std::vector<FrameMemory> remember(std::span<const MemoryInput> masks) override {
    std::vector<FrameMemory> memories;
    for (const MemoryInput& mask : masks) {
      remembered.push_back(mask);
      memories.push_back(std::make_shared<const HostKeptTensor>(
          std::vector(sizes_.memory_size(), uint16_t{0x3f80})));
    }
    if (fail_on == "remember") throw Error(ErrorCode::kInternal, "remember failed");
    return memories;
  }

  [[nodiscard]] FrameMemory restore(std::span<const uint16_t> memory) override {
    ++restored;
    return std::make_shared<const HostKeptTensor>(
        std::vector<uint16_t>(memory.begin(), memory.end()));
  }

  std::map<uint8_t, float> scores;  ///< Of detections, where it is not 0.9.
  std::string fail_on;
  int encoded = 0;
  int restored = 0;
  int shown = 0;                        ///< Calls of frame_masks().
  std::set<MaskPlace> places;           ///< Where masks were wanted.
  std::vector<DecodeInput> decoded;     ///< All of them.
  std::vector<MemoryInput> remembered;  ///< All of them.

 private:
  [[nodiscard]] static ObjectPointer pointer(uint8_t colour, size_t mask) {
    return std::make_shared<const std::vector<float>>(
        std::vector<float>{static_cast<float>(colour), static_cast<float>(mask)});
  }

  [[nodiscard]] uint8_t at(int64_t x, int64_t y) const {
    x = std::clamp<int64_t>(x, 0, frame_.width - 1);
    y = std::clamp<int64_t>(y, 0, frame_.height - 1);
    return frame_.rgb[static_cast<size_t>(y * frame_.width + x) * 3];
  }

  [[nodiscard]] int64_t area(uint8_t colour) const {
    if (colour == 0) return 0;
    int64_t count = 0;
    for (size_t i = 0; i < frame_.rgb.size(); i += 3) count += frame_.rgb[i] == colour ? 1 : 0;
    return count;
  }

  [[nodiscard]] Logits logits(uint8_t colour, float inside) const {
    Logits plane;
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        plane.push_back(at(x, y) == colour && colour != 0 ? inside : -inside);
      }
    }
    return plane;
  }

  [[nodiscard]] uint8_t colour_of(const DecodeInput& input) const {
    if (!input.mask.empty()) {
      const auto mask = input.mask.values();
      const auto pixel = std::ranges::max_element(mask) - mask.begin();
      const int64_t side = input.mask_side;
      return at(pixel % side * kSide / side, pixel / side * kSide / side);
    }
    for (const PromptToken& token : input.tokens) {
      if (token.label != 1) continue;
      return at(static_cast<int64_t>(token.x) * kSide / sizes_.image,
                static_cast<int64_t>(token.y) * kSide / sizes_.image);
    }
    if (input.memory.pointers.empty()) return 0;
    return static_cast<uint8_t>(input.memory.pointers.front()->front());
  }

  TrackSizes sizes_{32, 4, 2, 2, 4};
  Image frame_;
};

/// A square of a colour.
struct Square {
  uint8_t colour = 1;
  int64_t x = 0;
  int64_t y = 0;
  int64_t side = 4;
};

inline Image frame_of(std::initializer_list<Square> squares) {
  Image image{FakeTracker::kSide, FakeTracker::kSide, {}};
  image.rgb.resize(static_cast<size_t>(image.width * image.height) * 3);
  for (const Square& square : squares) {
    for (int64_t y = square.y; y < square.y + square.side; ++y) {
      for (int64_t x = square.x; x < square.x + square.side; ++x) {
        image.rgb[static_cast<size_t>(y * image.width + x) * 3] = square.colour;
      }
    }
  }
  return image;
}

inline ImageView view_of(const Image& image) {
  ImageView view;
  view.data = image.rgb.data();
  view.size_bytes = image.rgb.size();
  view.width = image.width;
  view.height = image.height;
  return view;
}

}  // namespace sam3trt
