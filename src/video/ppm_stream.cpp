#include "video/ppm_stream.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kBlock = size_t{1} << 16;

ssize_t read_some(int fd, uint8_t* target, size_t size) {
  while (true) {
    const ssize_t got = ::read(fd, target, size);
    if (got >= 0 || errno != EINTR) return got;
  }
}

/// The text behind `name` up to the next space.
std::string_view field(std::string_view line, std::string_view name) {
  const size_t at = line.find(name);
  if (at == std::string_view::npos) return {};
  line.remove_prefix(at + name.size());
  return line.substr(0, line.find(' '));
}

template <typename Number>
std::optional<Number> parse(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

bool PipeReader::fill() {
  buffer_.resize(kBlock);
  used_ = 0;
  const ssize_t got = read_some(fd_, buffer_.data(), buffer_.size());
  buffer_.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return !buffer_.empty();
}

size_t PipeReader::read(uint8_t* target, size_t size) {
  size_t done = std::min(size, buffer_.size() - used_);
  if (done > 0) std::memcpy(target, buffer_.data() + used_, done);
  used_ += done;
  while (done < size) {
    // Little is read through the buffer, so that the beginning of the next image is not a call of
    // its own for each byte.
    if (size - done < kBlock) {
      if (!fill()) break;
      const size_t part = std::min(size - done, buffer_.size());
      std::memcpy(target + done, buffer_.data(), part);
      used_ = part;
      done += part;
      continue;
    }
    const ssize_t got = read_some(fd_, target + done, size - done);
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

std::optional<std::string> PipeReader::line(size_t limit) {
  std::string text;
  bool is_any = false;
  while (used_ < buffer_.size() || fill()) {
    is_any = true;
    const uint8_t byte = buffer_[used_++];
    if (byte == '\n') return text;
    if (text.size() < limit) text.push_back(static_cast<char>(byte));
  }
  if (!is_any) return std::nullopt;
  return text;
}

int64_t PpmStream::number(char end) {
  int64_t value = 0;
  for (int digits = 0;; ++digits) {
    uint8_t byte = 0;
    if (reader_.read(&byte, 1) != 1) throw_bad_input(what_ + ": ends inside a frame");
    if (byte == static_cast<uint8_t>(end) && digits > 0) return value;
    if (byte < '0' || byte > '9' || digits == 9) break;
    value = value * 10 + (byte - '0');
  }
  throw_bad_input(what_ + ": ffmpeg's output is not the sequence of PPM images that was asked for");
}

std::optional<Image> PpmStream::next() {
  std::array<uint8_t, 3> magic{};
  const size_t got = reader_.read(magic.data(), magic.size());
  if (got == 0) return std::nullopt;
  if (got != magic.size()) throw_bad_input(what_ + ": ends inside a frame");
  if (std::memcmp(magic.data(), "P6\n", magic.size()) != 0) {
    throw_bad_input(what_ +
                    ": ffmpeg's output is not the sequence of PPM images that was asked for");
  }
  Image image;
  image.width = number(' ');
  image.height = number('\n');
  if (number('\n') != 255) throw_bad_input(what_ + ": ffmpeg's images do not have 8 bits");
  check_image_size(image.width, image.height, what_, max_pixels_);
  image.rgb.resize(static_cast<size_t>(image.width * image.height) * 3);
  if (reader_.read(image.rgb.data(), image.rgb.size()) != image.rgb.size()) {
    throw_bad_input(what_ + ": ends inside a frame");
  }
  return image;
}

std::optional<FrameStamp> parse_frame_stamp(std::string_view line) {
  if (!line.starts_with("frame:")) return std::nullopt;
  FrameStamp stamp;
  const auto number = parse<int64_t>(field(line, "frame:"));
  if (!number || *number < 0) return std::nullopt;
  stamp.number = *number;
  stamp.pts = parse<int64_t>(field(line, " pts:"));
  stamp.seconds = parse<double>(field(line, " pts_time:"));
  if (stamp.seconds && !std::isfinite(*stamp.seconds)) stamp.seconds.reset();
  return stamp;
}

std::optional<FrameStamp> StampStream::next() {
  constexpr size_t kLine = 256;
  while (const auto line = reader_.line(kLine)) {
    if (auto stamp = parse_frame_stamp(*line)) return stamp;
  }
  return std::nullopt;
}

}  // namespace sam3trt
