#include "checkpoint/shape_table.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace sam3trt {
namespace {

constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxDim = int64_t{1} << 31;

}  // namespace

ShapeTable::ShapeTable(std::span<const StoredTensor> tensors, const ModelNames& model) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!model.other_copy[i]) shapes_.emplace(model.names[i], &tensors[i].shape);
  }
}

const Shape* ShapeTable::find(const std::string& name) const {
  const auto found = shapes_.find(name);
  return found == shapes_.end() ? nullptr : found->second;
}

int64_t ShapeTable::dim(const std::string& name, size_t rank, size_t axis) {
  const Shape* shape = find(name);
  if (shape != nullptr && shape->size() == rank && shape->at(axis) > 0 &&
      shape->at(axis) <= kMaxDim) {
    return shape->at(axis);
  }
  const std::string line =
      name + (shape == nullptr ? " is missing"
                               : " has shape " + to_string(*shape) + ", expected " +
                                     std::to_string(rank) + " dimensions of 1 to 2^31");
  if (std::ranges::find(problems, line) == problems.end()) problems.push_back(line);
  return 1;
}

int64_t ShapeTable::layers(const std::string& prefix) const {
  int64_t count = 0;
  for (auto at = shapes_.lower_bound(prefix); at != shapes_.end() && at->first.starts_with(prefix);
       ++at) {
    const std::string_view rest = std::string_view(at->first).substr(prefix.size());
    int64_t layer = 0;
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
    const bool ends = result.ptr != rest.data() + rest.size() && *result.ptr == '.';
    if (result.ec == std::errc() && ends && layer >= 0 && layer < kMaxLayers) {
      count = std::max(count, layer + 1);
    }
  }
  return count;
}

std::optional<int64_t> square_side(int64_t count) {
  int64_t side = 0;
  while (side < (1 << 15) && side * side < count) ++side;
  return side * side == count ? std::optional(side) : std::nullopt;
}

}  // namespace sam3trt
