#include "compile/json_memory.hpp"

#include <string_view>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"

namespace sam3trt {

namespace fs = std::filesystem;

std::optional<MemoryJson> recall_json(const fs::path& file, size_t most) {
  std::error_code ignored;
  if (file.empty() || !fs::is_regular_file(file, ignored)) return std::nullopt;
  try {
    const MappedFile mapped(file);
    const auto bytes = mapped.bytes();
    if (bytes.size() > most) return std::nullopt;
    return MemoryJson::parse(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

void remember_json(const fs::path& file, const MemoryJson& json, const std::string& what) {
  if (file.empty()) return;
  try {
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    AtomicFile atomic(file);
    atomic.write(json.dump() + "\n");
    atomic.commit();
  } catch (const Error& error) {
    log(LogLevel::kWarning, what + " was not kept: " + error.what());
  }
}

}  // namespace sam3trt
