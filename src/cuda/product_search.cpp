#include "cuda/product_search.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using cublaslt::Algorithm;
using cublaslt::AlgorithmConfig;

constexpr int kOffers = 16;  ///< Asked of the heuristic for a size; it has not given more than 8.
constexpr std::array kRowFactors = {0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0};
constexpr std::array kOutputFactors = {0.25, 0.5, 1.0, 2.0, 3.0};
constexpr int64_t kStep = 64;       ///< Of those sizes, which suits all types.
constexpr size_t kBestTiles = 8;    ///< Whose relatives are tried.
constexpr double kWorthwhile = 10;  ///< Microseconds; below, launching takes the time.
constexpr double kHopeless = 1.3;   ///< Of the best time: not measured again.
constexpr size_t kFinalists = 8;
constexpr int kRounds = 12;  ///< Of the finalists; the median counts.
constexpr double kRoundMicroseconds = 1000;
constexpr int kMostLaunches = 20;

// Sums in another order are rounded to the same 16 bits or to those beside them, save few near 0.
constexpr int32_t kMostUnits = 2;
constexpr double kMostBeyond = 0.01;

bool agree(const std::vector<int32_t>& one, const std::vector<int32_t>& other) {
  size_t beyond = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    if (std::abs(one[i] - other.at(i)) > kMostUnits) ++beyond;
  }
  return static_cast<double>(beyond) <= kMostBeyond * static_cast<double>(one.size());
}

int64_t scaled(int64_t size, double factor) {
  const auto steps = static_cast<int64_t>(static_cast<double>(size) * factor) / kStep;
  return std::max<int64_t>(steps, 1) * kStep;
}

template <typename T>
T value_of(const CublasLt& library, const Algorithm& algorithm, AlgorithmConfig config) {
  T value = 0;
  size_t written = 0;
  library.algorithm_get(&algorithm, config, &value, sizeof(value), &written);
  return value;
}

template <typename T>
bool set_value(const CublasLt& library, Algorithm& algorithm, AlgorithmConfig config, T value) {
  return library.algorithm_set.status(&algorithm, config, &value, sizeof(value)) == 0;
}

}  // namespace

double ProductSearch::least() const {
  double least = std::numeric_limits<double>::infinity();
  for (const Tried& each : tried_) least = std::min(least, each.microseconds);
  return least;
}

void ProductSearch::try_from(size_t candidate) {
  for (; candidate < product_.candidates(); ++candidate) try_one(candidate);
}

void ProductSearch::try_one(size_t candidate) {
  product_.choose(candidate);
  try {
    run_.measure(1);  // loads its code
    double taken = run_.measure(2);
    if (taken < kHopeless * least()) taken = std::min(taken, run_.measure(6));
    tried_.push_back({candidate, taken});
  } catch (const Error& error) {
    // The library offers algorithms that it then refuses; what is wrong with the GPU shows here.
    problem_ = error.what();
  }
}

void ProductSearch::offer(const Algorithm& algorithm) {
  for (size_t i = 0; i < product_.candidates(); ++i) {
    if (product_.candidate(i) == algorithm) return;
  }
  static_cast<void>(product_.offer(algorithm));
}

void ProductSearch::offer_those_of_other_sizes() {
  for (const double rows : kRowFactors) {
    for (const double outputs : kOutputFactors) {
      ProductSizes sizes = product_.sizes();
      sizes.rows = scaled(sizes.rows, rows);
      sizes.outputs = scaled(sizes.outputs, outputs);
      if (!product_problem(sizes).empty()) continue;
      try {
        const Product other(library_, sizes, kOffers);
        for (size_t i = 0; i < other.candidates(); ++i) offer(other.candidate(i));
      } catch (const Error&) {
        continue;  // it has none for them
      }
    }
  }
}

void ProductSearch::offer_relatives_of_the_best() {
  std::ranges::stable_sort(tried_, {}, &Tried::microseconds);
  std::set<uint32_t> options;
  std::set<uint16_t> clusters;
  std::vector<Algorithm> bases;  // one for each tile
  std::set<std::pair<int32_t, uint32_t>> tiles;
  for (const Tried& each : tried_) {
    const Algorithm& algorithm = product_.candidate(each.candidate);
    // Sums that are split between blocks have a scratch and an order of their own.
    if (value_of<int32_t>(library_, algorithm, AlgorithmConfig::kSplitK) > 1) continue;
    options.insert(value_of<uint32_t>(library_, algorithm, AlgorithmConfig::kCustomOption));
    clusters.insert(value_of<uint16_t>(library_, algorithm, AlgorithmConfig::kClusterShape));
    const std::pair tile{value_of<int32_t>(library_, algorithm, AlgorithmConfig::kId),
                         value_of<uint32_t>(library_, algorithm, AlgorithmConfig::kTile)};
    if (tiles.size() < kBestTiles && tiles.insert(tile).second) bases.push_back(algorithm);
  }
  for (const Algorithm& base : bases) {
    for (const uint32_t option : options) {
      for (const uint16_t cluster : clusters) {
        Algorithm algorithm = base;
        if (set_value(library_, algorithm, AlgorithmConfig::kCustomOption, option) &&
            set_value(library_, algorithm, AlgorithmConfig::kClusterShape, cluster)) {
          offer(algorithm);
        }
      }
    }
  }
}

std::vector<ProductSearch::Tried> ProductSearch::finals(size_t first) {
  std::vector<Tried> last = tried_;
  std::ranges::stable_sort(last, {}, &Tried::microseconds);
  const auto kept = std::ranges::find(last, first, &Tried::candidate);
  if (std::cmp_greater_equal(kept - last.begin(), kFinalists)) {
    last.at(kFinalists - 1) = *kept;
  }
  if (last.size() > kFinalists) last.resize(kFinalists);
  std::vector<std::array<double, kRounds>> rounds(last.size());
  for (size_t round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < last.size(); ++i) {
      product_.choose(last[i].candidate);
      const double launches = kRoundMicroseconds / std::max(last[i].microseconds, 1.0);
      rounds[i].at(round) = run_.measure(std::clamp(static_cast<int>(launches), 1, kMostLaunches));
    }
  }
  for (size_t i = 0; i < last.size(); ++i) {
    std::ranges::sort(rounds[i]);
    last[i].microseconds = rounds[i].at(kRounds / 2);
  }
  std::ranges::stable_sort(last, {}, &Tried::microseconds);
  return last;
}

ChosenAlgorithm ProductSearch::find() {
  try_from(0);
  if (tried_.empty()) {
    throw Error(ErrorCode::kUnavailable, "cuBLASLt runs none of its algorithms for " +
                                             text_of(product_.sizes()) + ": " + problem_);
  }
  const size_t first = tried_.front().candidate;
  if (least() > kWorthwhile) {
    size_t next = product_.candidates();
    offer_those_of_other_sizes();
    try_from(next);
    next = product_.candidates();
    offer_relatives_of_the_best();
    try_from(next);
  }
  const std::vector<Tried> last = finals(first);
  product_.choose(first);
  const std::vector<int32_t> expected = run_.result();
  ChosenAlgorithm chosen;
  chosen.candidates = tried_.size();
  for (const Tried& each : last) {
    if (each.candidate == first) chosen.first_microseconds = each.microseconds;
    if (chosen.microseconds > 0) continue;
    product_.choose(each.candidate);
    if (each.candidate != first && !agree(expected, run_.result())) continue;
    chosen.microseconds = each.microseconds;
    chosen.algorithm = product_.algorithm().algorithm;
    chosen.description = product_.describe();
  }
  return chosen;
}

}  // namespace sam3trt
