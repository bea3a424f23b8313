#include "track_progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

namespace sam3trt {

TrackProgress::TrackProgress(std::optional<int64_t> frames)
    : total_(frames), visible_(::isatty(STDERR_FILENO) == 1) {}

double TrackProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void TrackProgress::clear() const {
  if (visible_) std::cerr << "\r\x1b[K" << std::flush;
}

void TrackProgress::advance(size_t objects) {
  ++done_;
  const auto now = std::chrono::steady_clock::now();
  if (!visible_ || now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  char rate[32];
  std::snprintf(rate, sizeof rate, "%.1f", static_cast<double>(done_) / seconds());
  const std::string total = total_ ? "/" + std::to_string(*total_) : std::string();
  std::cerr << "\r\x1b[Kframe " << done_ << total << ", " << rate << " frames/s, " << objects
            << (objects == 1 ? " object" : " objects") << std::flush;
}

}  // namespace sam3trt
