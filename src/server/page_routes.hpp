#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "server/http.hpp"

namespace sam3trt {

/// A file of the page.
struct PageFile {
  std::string_view path;  ///< Below web/dist, such as "assets/page.js".
  std::span<const std::byte> bytes;
};

/// What web/dist held at build time; empty where the build had no page.
[[nodiscard]] std::span<const PageFile> builtin_page();

/// "/" and the page's other files, open to everyone; without a page "/" says where the routes are.
void add_page_routes(Routes& routes, std::span<const PageFile> files);

/// /openapi.json
void add_openapi_route(Routes& routes);

}  // namespace sam3trt
