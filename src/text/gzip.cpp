#include "text/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;

/// zlib's decoder of one gzip file.
class Inflater {
 public:
  explicit Inflater(std::string_view bytes) {
    // zlib reads through a pointer to what it does not change.
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw Error(ErrorCode::kInternal, "zlib fails");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Appends some of the contents to `result`; returns zlib's code.
  int read(std::string& result) {
    stream_.next_out = buffer_.data();
    stream_.avail_out = static_cast<uInt>(buffer_.size());
    const int code = inflate(&stream_, Z_NO_FLUSH);
    const size_t count = buffer_.size() - stream_.avail_out;
    result.append(reinterpret_cast<const char*>(buffer_.data()), count);
    return code;
  }

  [[nodiscard]] std::string_view rest() const {
    return {reinterpret_cast<const char*>(stream_.next_in), stream_.avail_in};
  }

  void start_next_member() { inflateReset(&stream_); }

 private:
  z_stream stream_ = {};
  std::array<Bytef, 1 << 16> buffer_ = {};
};

bool is_padding(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == '\0'; });
}

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

std::string unpack_gzip(std::string_view bytes, size_t most_bytes, const std::string& name) {
  const auto refuse = [&](const std::string& what) { throw_bad_input(name + ": " + what); };
  if (bytes.size() > std::min<size_t>(most_bytes, std::numeric_limits<uInt>::max())) {
    refuse("a gzip file of " + std::to_string(bytes.size()) + " bytes is too large: at most " +
           std::to_string(most_bytes) + " are accepted");
  }
  Inflater inflater(bytes);
  std::string result;
  for (;;) {
    const int code = inflater.read(result);
    if (result.size() > most_bytes) {
      refuse("holds more than " + std::to_string(most_bytes) + " bytes when unpacked");
    }
    if (code == Z_STREAM_END) {
      if (is_padding(inflater.rest())) return result;
      inflater.start_next_member();
    } else if (code != Z_OK) {
      refuse(code == Z_BUF_ERROR ? "the gzip file ends too early; fetch it again"
                                 : "the gzip file is damaged; fetch it again");
    }
  }
}

}  // namespace sam3trt
