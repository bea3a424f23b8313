// Any bytes as what ffmpeg sends: images through one pipe, their time stamps through another, and
// its messages.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "video/ffmpeg_messages.hpp"
#include "video/ffmpeg_program.hpp"
#include "video/ppm_stream.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kMaxPixels = int64_t{1} << 16;
  const sam3trt::Descriptor file(::memfd_create("ppm_fuzz", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  ::lseek(file.get(), 0, SEEK_SET);
  try {
    sam3trt::PpmStream images(file.get(), "fuzz", kMaxPixels);
    while (const auto image = images.next()) {
      if (image->width < 1 || image->height < 1 || image->width * image->height > kMaxPixels ||
          image->rgb.size() != static_cast<size_t>(image->width * image->height) * 3) {
        std::abort();
      }
    }
  } catch (const sam3trt::Error&) {
    // Refused, as most inputs are.
  }
  ::lseek(file.get(), 0, SEEK_SET);
  sam3trt::StampStream stamps(file.get());
  while (const auto stamp = stamps.next()) {
    if (stamp->number < 0) std::abort();
  }
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto probed = sam3trt::parse_probe(text);
  if (probed.fps && !(*probed.fps > 0)) std::abort();
  if (probed.frames && *probed.frames < 1) std::abort();
  sam3trt::FfmpegMessages messages(-1);
  messages.add(text);
  if (messages.errors().size() > 2000) std::abort();
  return 0;
}
