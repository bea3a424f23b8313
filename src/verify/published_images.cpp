#include "verify/published_images.hpp"

#include <algorithm>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

fs::path record_of(const fs::path& image) { return image.string() + ".sha256"; }

void check_hash(const PublishedImage& image, const std::string& found, const std::string& where) {
  if (image.sha256.empty() || image.sha256 == found) return;
  throw_bad_input(where + ": is not the image whose results were published: expected SHA-256 " +
                  image.sha256 + ", found " + found);
}

/// Whether the file is there and is what it was when it arrived.
bool is_kept(const fs::path& path, const PublishedImage& image) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || !fs::is_regular_file(record_of(path), ignored)) {
    return false;
  }
  const std::string recorded = text_of(MappedFile(record_of(path)));
  const std::string found = sha256_hex(MappedFile(path).bytes());
  if (recorded == found + "\n" && (image.sha256.empty() || image.sha256 == found)) return true;
  log(LogLevel::kWarning, path.string() + ": changed since it was fetched; fetching it again");
  return false;
}

void keep(const fs::path& path, std::span<const std::byte> bytes, const std::string& sha256) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  try {
    AtomicFile image(path);
    image.write(bytes);
    image.commit();
    AtomicFile record(record_of(path));
    record.write(sha256 + "\n");
    record.commit();
  } catch (const Error& failure) {
    log(LogLevel::kWarning, std::string("the image was not kept: ") + failure.what());
  }
}

std::vector<std::byte> fetch(const PublishedTable& table, const std::string& name,
                             const PublishedImageSource& source) {
  std::string url = source.url.empty() ? table.images_url : source.url;
  while (url.ends_with('/')) url.pop_back();
  url += "/" + name;
  log(LogLevel::kInfo, "fetching " + url);
  try {
    if (!source.fetch) throw Error(ErrorCode::kUnavailable, url + ": this program fetches nothing");
    return source.fetch(url);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kBadInput) throw;
    std::string names;
    for (const PublishedImage& image : table.images) {
      names += (names.empty() ? "" : ", ") + image.name;
    }
    throw Error(error.code(), std::string(error.what()) + "; without a network, put " + names +
                                  " (" + table.images_name +
                                  ") into a folder and name it with --images");
  }
}

}  // namespace

Image read_published_image(const PublishedTable& table, const std::string& name,
                           const PublishedImageSource& source) {
  const auto image = std::ranges::find(table.images, name, &PublishedImage::name);
  if (image == table.images.end()) {
    throw Error(ErrorCode::kInternal, "there is no published image " + name);
  }
  if (!source.folder.empty()) {
    const fs::path path = source.folder / name;
    const MappedFile file(path);
    check_hash(*image, sha256_hex(file.bytes()), path.string());
    return decode_image(file.bytes(), path.string());
  }
  const fs::path kept = source.cache.empty() ? fs::path() : source.cache / name;
  if (!kept.empty() && is_kept(kept, *image)) return read_image(kept);
  const std::vector<std::byte> bytes = fetch(table, name, source);
  const std::string sha256 = sha256_hex(bytes);
  check_hash(*image, sha256, name + " (" + table.images_url + ")");
  Image decoded = decode_image(bytes, name);  // a page that says something else is not kept
  if (!kept.empty()) keep(kept, bytes, sha256);
  return decoded;
}

}  // namespace sam3trt
