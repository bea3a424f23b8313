#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/pickle.hpp"
#include "checkpoint/pickle_values.hpp"

namespace sam3trt::pickle {

/// The tensors that were taken from a pickle, and a sentence when there were others to take.
struct StateDict {
  std::vector<PickledTensor> tensors;
  std::string note;
};

/// Finds the state dict among the dictionaries that a pickle consists of.
class StateDictFinder {
 public:
  /// `refuse` throws Error(kBadInput) about the pickle.
  StateDictFinder(const std::vector<Value>& values, std::function<void(const std::string&)> refuse)
      : values_(values), refuse_(std::move(refuse)) {}

  /// `root` is the pickle's object; `tensors` are those that values of kTensor count.
  [[nodiscard]] StateDict find(uint32_t root, const std::vector<PickledTensor>& tensors);

 private:
  /// A dictionary that directly holds tensors.
  struct Candidate {
    uint32_t id = 0;
    std::string path;  ///< Its keys, joined by dots; empty for the whole.
    size_t depth = 0;
    size_t tensors = 0;
    bool is_model = false;
    bool is_optimizer = false;
  };

  void look_for_candidates(uint32_t root);
  [[nodiscard]] Candidate look_at(uint32_t id, std::string path, size_t depth,
                                  bool optimizer) const;
  [[nodiscard]] bool has_key(const Value& dictionary, std::string_view key) const;
  [[noreturn]] void refuse_without_tensors(uint32_t root) const;
  [[nodiscard]] std::vector<PickledTensor> tensors_of(
      const Candidate& chosen, const std::vector<PickledTensor>& tensors) const;

  const std::vector<Value>& values_;
  std::function<void(const std::string&)> refuse_;
  std::vector<Candidate> candidates_;
};

}  // namespace sam3trt::pickle
