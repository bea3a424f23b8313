#include "cuda/product_search.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using cublaslt::Algorithm;
using cublaslt::AlgorithmConfig;

constexpr std::array kRowFactors = {0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0};
constexpr std::array kOutputFactors = {0.25, 0.5, 1.0, 2.0, 3.0};
constexpr int64_t kStep = 64;       ///< Of those sizes, which suits all types.
constexpr size_t kBestTiles = 8;    ///< Whose relatives are tried.
constexpr double kWorthwhile = 10;  ///< Microseconds; below, launching takes the time.
constexpr double kHopeless = 1.5;   ///< Of the best time: not measured again.
constexpr size_t kSemifinalists = 24;
constexpr size_t kSemifinalRounds = 3;
constexpr size_t kFinalists = 8;
constexpr size_t kFinalRounds = 12;
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

/// 0 where an older library has no such value.
template <typename T>
T value_of(const CublasLt& library, const Algorithm& algorithm, AlgorithmConfig config) {
  T value = 0;
  size_t written = 0;
  const int status =
      library.algorithm_get.status(&algorithm, config, &value, sizeof(value), &written);
  return status == 0 ? value : T{0};
}

template <typename T>
bool set_value(const CublasLt& library, Algorithm& algorithm, AlgorithmConfig config, T value) {
  return library.algorithm_set.status(&algorithm, config, &value, sizeof(value)) == 0;
}

}  // namespace

ProductSearch::Field ProductSearch::try_from(size_t candidate) {
  Field field;
  double least = std::numeric_limits<double>::infinity();
  for (; candidate < product_.candidates(); ++candidate) {
    product_.choose(candidate);
    try {
      run_.measure(1);  // loads its code
      double taken = run_.measure(3);
      if (taken < kHopeless * least) taken = std::min(taken, run_.measure(6));
      least = std::min(least, taken);
      field.push_back({candidate, taken});
    } catch (const Error& error) {
      // The library offers algorithms that it then refuses; what is wrong with the GPU shows here.
      problem_ = error.what();
    }
  }
  tried_ += field.size();
  std::ranges::stable_sort(field, {}, &Tried::microseconds);
  return field;
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
        const Product other(library_, sizes, kHeuristicOffers);
        for (size_t i = 0; i < other.candidates(); ++i) offer(other.candidate(i));
      } catch (const Error&) {
        continue;  // it has none for them
      }
    }
  }
}

void ProductSearch::offer_relatives_of(const Field& best) {
  std::set<uint32_t> options;
  std::set<uint16_t> clusters;
  std::vector<Algorithm> bases;  // one for each tile
  std::set<std::pair<int32_t, uint32_t>> tiles;
  for (const Tried& each : best) {
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

void ProductSearch::run_in_turn(Field& field, size_t rounds) {
  std::vector<std::vector<double>> times(field.size());
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < field.size(); ++i) {
      product_.choose(field[i].candidate);
      const double launches = kRoundMicroseconds / std::max(field[i].microseconds, 1.0);
      times[i].push_back(run_.measure(std::clamp(static_cast<int>(launches), 1, kMostLaunches)));
    }
  }
  for (size_t i = 0; i < field.size(); ++i) {
    std::ranges::sort(times[i]);
    field[i].microseconds = times[i].at(rounds / 2);
  }
  std::ranges::stable_sort(field, {}, &Tried::microseconds);
}

ChosenAlgorithm ProductSearch::find() {
  Field field = try_from(0);
  if (field.empty()) {
    throw Error(ErrorCode::kUnavailable, "cuBLASLt runs none of its algorithms for " +
                                             text_of(product_.sizes()) + ": " + problem_);
  }
  const Tried first = *std::ranges::min_element(field, {}, &Tried::candidate);
  if (field.front().microseconds > kWorthwhile) {
    const auto semifinal = [&](size_t from) {
      Field more = try_from(from);
      more.resize(std::min(more.size(), kSemifinalists));
      field.insert(field.end(), more.begin(), more.end());
      run_in_turn(field, kSemifinalRounds);
    };
    size_t next = product_.candidates();
    offer_those_of_other_sizes();
    semifinal(next);
    next = product_.candidates();
    offer_relatives_of(field);
    semifinal(next);
  }
  field.resize(std::min(field.size(), kFinalists));
  if (std::ranges::find(field, first.candidate, &Tried::candidate) == field.end()) {
    field.push_back(first);
  }
  run_in_turn(field, kFinalRounds);

  product_.choose(first.candidate);
  const std::vector<int32_t> expected = run_.result();
  ChosenAlgorithm chosen;
  chosen.candidates = tried_;
  for (const Tried& each : field) {
    const bool is_first = each.candidate == first.candidate;
    if (is_first) chosen.first_microseconds = each.microseconds;
    if (chosen.microseconds > 0) continue;
    product_.choose(each.candidate);
    if (!is_first && !agree(expected, run_.result())) continue;
    chosen.microseconds = each.microseconds;
    chosen.algorithm = product_.algorithm().algorithm;
    chosen.description = product_.describe();
  }
  return chosen;
}

}  // namespace sam3trt
