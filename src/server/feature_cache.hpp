#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "sam3trt/session.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// Features and decoded images by digest; those that were not asked for the longest go first.
/// Images that were encoded together are kept together, because their features are one piece of
/// memory. May be called from any thread.
class FeatureCache {
 public:
  struct Kept {
    ServedImage served;
    std::shared_ptr<const Features> features;
    size_t index = 0;   ///< Of the image in the features.
    size_t device = 0;  ///< Whose model they are of.
  };

  /// What is kept takes at most so many bytes; one group that is larger is not kept.
  explicit FeatureCache(size_t limit_bytes) : limit_(limit_bytes) {}

  /// Keeps the images of `features`, in their order.
  void add(size_t device, const std::vector<ServedImage>& images,
           const std::shared_ptr<const Features>& features);

  /// Counts as use.
  [[nodiscard]] std::optional<Kept> find(const std::string& digest);

  /// Does not count as use.
  [[nodiscard]] std::optional<Kept> peek(const std::string& digest) const;

  /// Which piece the image's features are in and whose; the piece is null where none are kept. It
  /// is not held, and only says which images belong together.
  struct Piece {
    const Features* features = nullptr;
    size_t device = 0;
  };
  [[nodiscard]] Piece piece_of(const std::string& digest) const;

  [[nodiscard]] size_t bytes() const;
  [[nodiscard]] size_t images() const;

 private:
  struct Group {
    std::shared_ptr<const Features> features;
    std::vector<ServedImage> images;
    size_t device = 0;
    size_t bytes = 0;
  };
  struct Place {
    std::list<Group>::iterator group;
    size_t index = 0;
  };

  /// Moves the group to `removed`, whose memory is given back when the lock is: that may wait for
  /// a GPU.
  void remove(std::list<Group>::iterator group, std::list<Group>& removed);

  size_t limit_;
  mutable std::mutex mutex_;
  std::list<Group> groups_;  ///< The one that was used last comes first.
  std::unordered_map<std::string, Place> places_;
  size_t bytes_ = 0;
};

}  // namespace sam3trt
