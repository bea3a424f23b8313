#include "base/cache_folder.hpp"

#include <cstdlib>

#include "base/temporary.hpp"

namespace sam3trt {

std::filesystem::path user_cache_folder() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && *xdg != '\0') return std::filesystem::path(xdg) / "sam3trt";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return {};
  return std::filesystem::path(home) / ".cache" / "sam3trt";
}

void sweep_cache_folder() {
  const std::filesystem::path folder = user_cache_folder();
  if (folder.empty()) return;
  for (const char* name : {"", "reference", "timing"}) sweep_temporaries(folder / name);
}

}  // namespace sam3trt
