#pragma once

#include <cstddef>
#include <string>

#include "base/error.hpp"

namespace sam3trt {

/// Collects what is wrong with a file so that one error tells it all; a hostile file's list is cut.
class Problems {
 public:
  void add(const std::string& problem) {
    ++count_;
    if (count_ <= kShown) text_ += "\n  " + problem;
  }

  /// Whether looking for more is of no use.
  [[nodiscard]] bool full() const { return count_ > kShown; }

  void throw_if_any(const std::string& name) const {
    if (count_ == 0) return;
    throw_bad_input(name + ": is not a CLIP tokenizer that can be used:" + text_ +
                    (full() ? "\n  and more" : ""));
  }

 private:
  static constexpr size_t kShown = 8;
  size_t count_ = 0;
  std::string text_;
};

}  // namespace sam3trt
