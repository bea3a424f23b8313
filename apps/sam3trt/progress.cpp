#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <utility>

namespace sam3trt {
namespace {

std::string amount(uint64_t value, ProgressUnit unit) {
  constexpr uint64_t kMegabyte = 1000 * 1000;
  return unit == ProgressUnit::kBytes ? std::to_string(value / kMegabyte) : std::to_string(value);
}

}  // namespace

ProgressBar::ProgressBar(std::string label, uint64_t total, ProgressUnit unit)
    : label_(std::move(label)),
      total_(total),
      unit_(unit),
      visible_(total > 1 && ::isatty(STDERR_FILENO) != 0),
      drawn_(std::chrono::steady_clock::now()) {
  if (visible_) draw();
}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() const {
  if (visible_) std::cerr << "\r\x1b[K" << std::flush;
}

void ProgressBar::set(uint64_t done) {
  done_ = std::min(done, total_);
  const auto now = std::chrono::steady_clock::now();
  if (!visible_ || (now - drawn_ < std::chrono::milliseconds(100) && done_ < total_)) return;
  drawn_ = now;
  draw();
}

void ProgressBar::draw() const {
  constexpr uint64_t kWidth = 30;
  const auto filled = static_cast<size_t>(static_cast<double>(kWidth) * static_cast<double>(done_) /
                                          static_cast<double>(total_));
  std::cerr << "\r" << label_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, '.') << "] " << amount(done_, unit_) << "/"
            << amount(total_, unit_) << (unit_ == ProgressUnit::kBytes ? " MB" : "") << std::flush;
}

}  // namespace sam3trt
