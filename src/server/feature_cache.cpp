#include "server/feature_cache.hpp"

#include <utility>

namespace sam3trt {

void FeatureCache::add(size_t device, const std::vector<ServedImage>& images,
                       const std::shared_ptr<const Features>& features) {
  Group group{features, images, device, features->size_bytes()};
  for (const ServedImage& image : images) group.bytes += image.image->rgb.size();
  std::list<Group> removed;
  const std::scoped_lock lock(mutex_);
  if (group.bytes > limit_) return;
  while (bytes_ + group.bytes > limit_) remove(std::prev(groups_.end()), removed);
  bytes_ += group.bytes;
  groups_.push_front(std::move(group));
  for (size_t i = 0; i < images.size(); ++i) {
    places_.insert_or_assign(images[i].digest, Place{groups_.begin(), i});
  }
}

void FeatureCache::remove(std::list<Group>::iterator group, std::list<Group>& removed) {
  for (const ServedImage& image : group->images) {
    const auto place = places_.find(image.digest);
    if (place != places_.end() && place->second.group == group) places_.erase(place);
  }
  bytes_ -= group->bytes;
  removed.splice(removed.begin(), groups_, group);
}

std::optional<FeatureCache::Kept> FeatureCache::find(const std::string& digest) {
  const std::scoped_lock lock(mutex_);
  const auto place = places_.find(digest);
  if (place == places_.end()) return std::nullopt;
  const auto& [group, index] = place->second;
  groups_.splice(groups_.begin(), groups_, group);
  return Kept{group->images[index], group->features, index, group->device};
}

std::optional<FeatureCache::Kept> FeatureCache::peek(const std::string& digest) const {
  const std::scoped_lock lock(mutex_);
  const auto place = places_.find(digest);
  if (place == places_.end()) return std::nullopt;
  const auto& [group, index] = place->second;
  return Kept{group->images[index], group->features, index, group->device};
}

FeatureCache::Piece FeatureCache::piece_of(const std::string& digest) const {
  const std::scoped_lock lock(mutex_);
  const auto place = places_.find(digest);
  if (place == places_.end()) return {};
  const Group& group = *place->second.group;
  return {group.features.get(), group.device};
}

size_t FeatureCache::bytes() const {
  const std::scoped_lock lock(mutex_);
  return bytes_;
}

size_t FeatureCache::images() const {
  const std::scoped_lock lock(mutex_);
  return places_.size();
}

}  // namespace sam3trt
