#include "checkpoint/state_dict.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt::pickle {
namespace {

constexpr size_t kMaxDepth = 6;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxDictionaries = 100'000;

// Keys under which a model is looked for first. "model" is the one that Meta's own loader takes
// (facebookresearch/sam3, model_builder.py).
constexpr std::array<std::string_view, 5> kModelKeys = {"", "model", "model_state_dict",
                                                        "state_dict", "module"};

size_t rank_of(std::string_view path) {
  const std::string_view first = path.substr(0, path.find('.'));
  return static_cast<size_t>(std::ranges::find(kModelKeys, first) - kModelKeys.begin());
}

std::string quoted(const std::string& path) {
  return path.empty() ? "the one at the top" : "\"" + path + "\"";
}

}  // namespace

bool StateDictFinder::has_key(const Value& dictionary, std::string_view key) const {
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    const Value& found = values_[dictionary.items[i]];
    if (found.kind == Kind::kText && found.text == key) return true;
  }
  return false;
}

StateDictFinder::Candidate StateDictFinder::look_at(uint32_t id, std::string path, size_t depth,
                                                    bool optimizer) const {
  const Value& dictionary = values_[id];
  Candidate candidate{id, std::move(path), depth, 0, false, optimizer};
  candidate.is_optimizer = optimizer || has_key(dictionary, "param_groups");
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    if (values_[dictionary.items[i + 1]].kind != Kind::kTensor) continue;
    ++candidate.tensors;
    const Value& key = values_[dictionary.items[i]];
    if (key.kind == Kind::kText && is_tensor_name(key.text)) {
      candidate.is_model = candidate.is_model || naming_of(key.text).has_value();
    }
  }
  return candidate;
}

void StateDictFinder::look_for_candidates(uint32_t root) {
  std::set<uint32_t> seen{root};
  std::vector<Candidate> open{look_at(root, "", 0, false)};
  // Breadth first: of dictionaries that are named twice the shorter path is kept.
  for (size_t at = 0; at < open.size(); ++at) {
    const Candidate here = open[at];
    if (here.tensors > 0) candidates_.push_back(here);
    if (here.depth >= kMaxDepth) continue;
    const Value& dictionary = values_[here.id];
    for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
      const Value& key = values_[dictionary.items[i]];
      const uint32_t item = dictionary.items[i + 1];
      if (key.kind != Kind::kText || values_[item].kind != Kind::kDict) continue;
      if (!seen.insert(item).second) continue;
      if (open.size() >= kMaxDictionaries) refuse_("holds more than 100000 dictionaries");
      const std::string name = printable(key.text);
      open.push_back(look_at(item, here.path.empty() ? name : here.path + "." + name,
                             here.depth + 1, here.is_optimizer || is_optimizer_state(name)));
    }
  }
}

void StateDictFinder::refuse_without_tensors(uint32_t root) const {
  const Value& dictionary = values_[root];
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    const Value& key = values_[dictionary.items[i]];
    if (key.kind != Kind::kText || !is_tensor_name(key.text)) {
      refuse_("the state dict has a key that is not a tensor name");
    }
    refuse_("the entry \"" + printable(key.text) +
            "\" of the state dict is not a tensor; expected a state dict, or one under \"model\", "
            "\"model_state_dict\" or \"state_dict\"");
  }
  throw Error(ErrorCode::kInternal, "an empty state dict was refused");
}

std::vector<PickledTensor> StateDictFinder::tensors_of(
    const Candidate& chosen, const std::vector<PickledTensor>& tensors) const {
  std::vector<PickledTensor> result;
  std::set<std::string_view> names;
  const Value& dictionary = values_[chosen.id];
  if (chosen.tensors > kMaxTensors) refuse_("names more than 100000 tensors");
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    const Value& key = values_[dictionary.items[i]];
    const Value& item = values_[dictionary.items[i + 1]];
    if (item.kind != Kind::kTensor) continue;
    if (key.kind != Kind::kText || !is_tensor_name(key.text)) {
      refuse_("the state dict has a key that is not a tensor name");
    }
    if (!names.insert(key.text).second) {
      refuse_("the tensor \"" + printable(key.text) + "\" appears twice");
    }
    result.push_back(tensors[static_cast<size_t>(item.number)]);
    result.back().name = key.text;
  }
  return result;
}

StateDict StateDictFinder::find(uint32_t root, const std::vector<PickledTensor>& tensors) {
  if (values_[root].kind == Kind::kTensor) {
    refuse_("is one tensor, expected a dictionary of tensors");
  }
  if (values_[root].kind != Kind::kDict) refuse_("expected a dictionary of tensors");
  look_for_candidates(root);
  if (candidates_.empty()) {
    if (values_[root].items.empty()) return {};
    if (has_key(values_[root], "param_groups") || has_key(values_[root], "optimizer") ||
        has_key(values_[root], "optimizer_state_dict")) {
      refuse_(
          "holds the state of an optimizer and no model; name the file with the model's "
          "weights");
    }
    refuse_without_tensors(root);
  }
  const auto order = [](const Candidate& candidate) {
    return std::tuple(!candidate.is_model, candidate.is_optimizer, is_averaged_copy(candidate.path),
                      rank_of(candidate.path), candidate.depth);
  };
  const Candidate& chosen = *std::ranges::min_element(candidates_, {}, order);
  if (!chosen.is_model && chosen.is_optimizer) {
    refuse_("holds the state of an optimizer and no model; name the file with the model's weights");
  }
  StateDict result{tensors_of(chosen, tensors), ""};
  std::string others;
  for (const Candidate& other : candidates_) {
    if (other.id == chosen.id || !other.is_model || other.is_optimizer) continue;
    others += (others.empty() ? "" : ", ") + quoted(other.path);
  }
  if (!others.empty()) {
    result.note = "holds several models; " + quoted(chosen.path) + " is taken, not " + others +
                  "; save another one alone to export it";
  }
  return result;
}

}  // namespace sam3trt::pickle
