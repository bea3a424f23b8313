#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "verify/published.hpp"

namespace sam3trt {

/// Where the images of a table of published results come from.
struct PublishedImageSource {
  std::filesystem::path folder;  ///< That holds them under their names; empty: they are fetched.
  std::filesystem::path cache;   ///< Keeps what was fetched; empty: nothing is kept.
  std::string url;               ///< In place of the table's; empty: the table's.
  /// The file at a URL, such as fetch_file (hub/fetch.hpp); throws Error when there is none. Empty:
  /// nothing is fetched, and only `folder` and `cache` serve.
  std::function<std::vector<std::byte>(const std::string& url)> fetch;
};

/// One of the table's images. It is fetched once: what is kept is used again as long as it has the
/// hash that it had when it arrived (NAME.sha256 beside it), or the table's where that states one.
/// Throws Error(kBadInput) for an image that is missing in `folder`, is none or has another hash
/// than the table's, and Error(kInternal), saying what to do without a network, when it cannot be
/// fetched.
[[nodiscard]] Image read_published_image(const PublishedTable& table, const std::string& name,
                                         const PublishedImageSource& source);

}  // namespace sam3trt
