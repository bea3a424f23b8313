#include "progress.hpp"

#include <unistd.h>

#include <iostream>
#include <utility>

namespace sam3trt {

ProgressBar::ProgressBar(std::string label, size_t total)
    : label_(std::move(label)), total_(total), visible_(total > 1 && ::isatty(STDERR_FILENO) != 0) {
  set(0);
}

ProgressBar::~ProgressBar() {
  if (visible_) std::cerr << "\r\x1b[K" << std::flush;
}

void ProgressBar::set(size_t done) {
  done_ = done;
  if (!visible_) return;
  constexpr size_t kWidth = 30;
  const size_t filled = total_ == 0 ? kWidth : kWidth * done_ / total_;
  std::cerr << "\r" << label_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, '.') << "] " << done_ << "/" << total_ << std::flush;
}

}  // namespace sam3trt
