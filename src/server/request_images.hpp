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

 private:
  [[nodiscard]] std::string read_below(const std::string& path, const std::string& where) const;

  Service& service_;
  ImageAccess access_;
};

}  // namespace sam3trt
