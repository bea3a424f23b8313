#pragma once

#include <cstddef>
#include <string>

namespace sam3trt {

/// A bar on standard error, drawn only on a terminal and only for more than one step; erased at the
/// end.
class ProgressBar {
 public:
  ProgressBar(std::string label, size_t total);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void advance() { set(done_ + 1); }
  void set(size_t done);

 private:
  std::string label_;
  size_t total_;
  size_t done_ = 0;
  bool visible_;
};

}  // namespace sam3trt
