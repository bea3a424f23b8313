#include "server/page_routes.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "server/builtin_openapi.hpp"

namespace sam3trt {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kTypes = {{
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".json", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".map", "application/json"},
    {".wasm", "application/wasm"},
}};

std::string type_of(std::string_view path) {
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return std::string(type);
  }
  return "application/octet-stream";
}

HttpResponse response_of(const PageFile& file) {
  HttpResponse response;
  response.content_type = type_of(file.path);
  response.body.assign(reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size());
  response.headers = {{"Content-Security-Policy", std::string(kPolicy)},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Cache-Control", "no-cache"}};
  return response;
}

}  // namespace

void add_page_routes(Routes& routes, std::span<const PageFile> files) {
  const RouteOptions open{.access = Access::kOpen, .token = {}, .files_on_disk = false};
  bool has_index = false;
  for (const PageFile& file : files) {
    const bool is_index = file.path == "index.html";
    has_index = has_index || is_index;
    routes.add(
        "GET", is_index ? "/" : "/" + std::string(file.path),
        [&file](const HttpRequest&) { return response_of(file); }, open);
  }
  if (has_index) return;
  routes.add(
      "GET", "/",
      [](const HttpRequest&) {
        HttpResponse response;
        response.content_type = "text/plain; charset=utf-8";
        response.body = "sam3trt: this build has no page; the routes are in /openapi.json\n";
        return response;
      },
      open);
}

void add_openapi_route(Routes& routes) {
  routes.add("GET", "/openapi.json", [](const HttpRequest&) {
    HttpResponse response;
    response.body = builtin_openapi();
    return response;
  });
}

}  // namespace sam3trt
