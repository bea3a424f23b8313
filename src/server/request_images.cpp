#include "server/request_images.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "server/base64.hpp"
#include "server/fields.hpp"
#include "server/image_fetch.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// The text behind "data:image/png;base64,", or all of it.
std::string_view without_data_url(std::string_view text) {
  constexpr size_t kMaxHead = 256;
  if (!text.starts_with("data:")) return text;
  const size_t comma = text.substr(0, kMaxHead).find(',');
  if (comma == std::string_view::npos || !text.substr(0, comma).ends_with(";base64")) return text;
  return text.substr(comma + 1);
}

bool is_below(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(folder, path).in1 == folder.end();
}

/// Where an open file really lies.
fs::path path_of(const Descriptor& file) {
  std::error_code error;
  return fs::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error);
}

}  // namespace

RequestImages::RequestImages(Service& service, ImageAccess access)
    : service_(service), access_(std::move(access)) {
  for (fs::path& folder : access_.folders) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error || !fs::is_directory(real)) {
      throw_bad_input("--allow-folder " + folder.string() + ": is not a folder");
    }
    folder = real;
  }
}

RequestImage RequestImages::of_bytes(std::string_view bytes, const std::string& where) const {
  return {service_.decode(bytes, where), {}};
}

RequestImage RequestImages::of_file(const HttpPart& part, const std::string& where) const {
  RequestImage image = of_bytes(part.body, where);
  image.name = part.filename;
  return image;
}

RequestImage RequestImages::of_base64(std::string_view text, const std::string& where) const {
  std::string bytes;
  try {
    bytes = decode_base64(without_data_url(text));
  } catch (const Error&) {
    throw HttpError(422, "bad_field", where + ": expected the bytes of an image file in base64",
                    where);
  }
  return of_bytes(bytes, where);
}

RequestImage RequestImages::of_path(const std::string& path, const std::string& where) const {
  RequestImage image = of_bytes(read_below(path, where), where);
  image.name = path;
  return image;
}

RequestImage RequestImages::of_url(const std::string& url, const std::string& token,
                                   const std::string& where) const {
  const FetchRules rules{access_.hosts, service_.info().limits.max_file_bytes};
  RequestImage image = of_bytes(fetch_image(rules, url, token, where), where);
  image.name = url;
  return image;
}

std::string RequestImages::read_below(const std::string& path, const std::string& where) const {
  if (access_.folders.empty()) {
    throw HttpError(422, "not_allowed",
                    where +
                        ": this server reads no files; send the image itself as base64, "
                        "or start the server with --allow-folder",
                    where);
  }
  const size_t limit = service_.info().limits.max_file_bytes;
  for (const fs::path& folder : access_.folders) {
    if (path.find('\0') != std::string::npos) break;
    const Descriptor file(
        ::open((folder / path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (file.get() < 0 || !is_below(path_of(file), folder) || ::fstat(file.get(), &status) != 0 ||
        !S_ISREG(status.st_mode)) {
      continue;
    }
    if (static_cast<uint64_t>(status.st_size) > limit) {
      throw HttpError(413, "image_too_large",
                      where + ": the file is larger than " + std::to_string(limit >> 20U) + " MiB",
                      where);
    }
    std::string bytes(static_cast<size_t>(status.st_size), '\0');
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }
  throw HttpError(422, "not_allowed",
                  where + ": is not a file below a folder that the server may read", where);
}

RequestImage RequestImages::read(const nlohmann::json& json, const std::string& where) const {
  const Fields fields(json, where, {"base64", "features", "path", "url"});
  if (json.size() != 1) {
    throw HttpError(422, "bad_field", where + ": expected one of base64, features, path and url",
                    where);
  }
  if (const nlohmann::json* text = fields.find("base64")) {
    if (!text->is_string()) fields.refuse("base64", "a text");
    return of_base64(text->get_ref<const std::string&>(), where + ".base64");
  }
  if (const auto digest = fields.text("features")) {
    return {service_.image_of(*digest, where), {}};
  }
  if (const auto path = fields.text("path")) return of_path(*path, where + ".path");
  if (const auto url = fields.text("url")) return of_url(*url, {}, where + ".url");
  fields.refuse("base64", "a text");
}

}  // namespace sam3trt
