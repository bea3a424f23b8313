#include "video/ffmpeg_messages.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>

namespace sam3trt {
namespace {

constexpr size_t kMaxErrors = 3;
constexpr size_t kMaxLine = 400;

/// Without "[h264 @ 0x55..] " and the level, and without bytes that a terminal would act on.
std::string cleaned(std::string_view line) {
  for (const std::string_view level : {"[error] ", "[fatal] ", "[panic] "}) {
    const size_t at = line.find(level);
    if (at == std::string_view::npos) continue;
    line.remove_prefix(at + level.size());
    break;
  }
  std::string text(line.substr(0, kMaxLine));
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  while (text.ends_with(' ') || text.ends_with('.')) text.pop_back();
  return text;
}

bool has_level(std::string_view line, std::string_view level) {
  // Before it only "[name @ address] ".
  const size_t at = line.find(level);
  return at == 0 || (at != std::string_view::npos && line.starts_with('[') && line[at - 1] == ' ');
}

/// Of "..., 25 fps, 25 tbn"
std::optional<double> rate_in(std::string_view line) {
  const size_t end = line.find(" fps");
  if (end == std::string_view::npos) return std::nullopt;
  const size_t begin = line.rfind(' ', end - 1);
  if (end == 0 || begin == std::string_view::npos) return std::nullopt;
  double value = 0;
  const char* last = line.data() + end;
  const auto [at, error] = std::from_chars(line.data() + begin + 1, last, value);
  if (error != std::errc() || at != last || !(value > 0 && value < 1e6)) return std::nullopt;
  return value;
}

}  // namespace

FfmpegMessages::FfmpegMessages(int fd) {
  if (fd >= 0) thread_ = std::thread([this, fd] { read(fd); });
}

FfmpegMessages::~FfmpegMessages() { finish(); }

void FfmpegMessages::finish() {
  if (thread_.joinable()) thread_.join();
}

void FfmpegMessages::read(int fd) {
  std::string pending;
  std::array<char, 4096> block{};
  while (true) {
    const ssize_t size = ::read(fd, block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    for (const char c : std::string_view(block.data(), static_cast<size_t>(size))) {
      if (c != '\n' && c != '\r') {
        if (pending.size() < 4 * kMaxLine) pending.push_back(c);
        continue;
      }
      add(pending);
      pending.clear();
    }
  }
  add(pending);
}

void FfmpegMessages::add(std::string_view line) {
  if (line.empty()) return;
  const std::scoped_lock lock(mutex_);
  const bool has_any_level =
      has_level(line, "[info]") || has_level(line, "[warning]") || has_level(line, "[verbose]");
  const bool is_error =
      has_level(line, "[error] ") || has_level(line, "[fatal] ") || has_level(line, "[panic] ");
  if (is_error || (in_error_ && !has_any_level && !line.starts_with("To ignore this"))) {
    std::string text = cleaned(line);
    if (!text.empty() && std::ranges::find(errors_, text) == errors_.end()) {
      errors_.push_back(std::move(text));
      if (errors_.size() > kMaxErrors) errors_.pop_front();
    }
  }
  in_error_ = is_error;
  if (line.find("] Output #0") != std::string_view::npos) in_output_ = true;
  if (in_output_ && !fps_ && line.find(" Video: ") != std::string_view::npos) fps_ = rate_in(line);
}

std::string FfmpegMessages::errors() const {
  const std::scoped_lock lock(mutex_);
  std::string text;
  for (const std::string& error : errors_) text += (text.empty() ? "" : "; ") + error;
  return text;
}

std::optional<double> FfmpegMessages::fps() const {
  const std::scoped_lock lock(mutex_);
  return fps_;
}

}  // namespace sam3trt
