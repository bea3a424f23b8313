#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "server/service.hpp"

namespace sam3trt {

/// What is read because a request says so.
struct ImageAccess {
  std::vector<std::filesystem::path> folders;  ///< {"path": ..} below them.
  std::vector<std::string> hosts{};            ///< {"url": ..} of them (image_fetch.hpp).
};

/// An image of a request and what it is called there.
struct RequestImage {
  ServedImage served;
  std::string name;  ///< Path, URL or file name; empty where it has none.
};

/// Finds the images that requests are about.
class RequestImages {
 public:
  /// Throws Error(kBadInput) for a folder that is not one. The service must outlive it.
  RequestImages(Service& service, ImageAccess access);

  /// {"base64"}, {"features"}, {"path"} or {"url"}; `where` is the image's place in the request.
  /// Throws HttpError that names the field.
  [[nodiscard]] RequestImage read(const nlohmann::json& json, const std::string& where) const;

  /// The images of a request: its file parts, in JSON requests "image" or "images", a body that is
  /// an image.
  [[nodiscard]] RequestImage of_file(const HttpPart& part, const std::string& where) const;
  [[nodiscard]] RequestImage of_bytes(std::string_view bytes, const std::string& where) const;

  /// Base64, or a data: URL with it.
  [[nodiscard]] RequestImage of_base64(std::string_view text, const std::string& where) const;
  /// A file below a folder of the access.
  [[nodiscard]] RequestImage of_path(const std::string& path, const std::string& where) const;
  /// `token` goes to the URL's host (image_fetch.hpp); it may be empty.
  [[nodiscard]] RequestImage of_url(const std::string& url, const std::string& token,
                                    const std::string& where) const;

 private:
  [[nodiscard]] std::string read_below(const std::string& path, const std::string& where) const;

  Service& service_;
  ImageAccess access_;
};

}  // namespace sam3trt
