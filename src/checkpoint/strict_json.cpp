#include "checkpoint/strict_json.hpp"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "base/foreign_file.hpp"
#include "base/mapped_file.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxFileBytes = size_t{64} << 20U;

}  // namespace

nlohmann::json parse_strict_json(std::span<const std::byte> text, const std::string& where) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> open_objects;
  const auto check = [&](int depth, Event event, nlohmann::json& parsed) {
    if (depth > kMaxDepth) throw_bad_input(where + ": JSON nested deeper than 64 levels");
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) {
        throw_bad_input(where + ": the key \"" + printable(key) + "\" appears twice");
      }
    }
    return true;
  };
  const auto* begin = reinterpret_cast<const char*>(text.data());
  try {
    return nlohmann::json::parse(begin, begin + text.size(), check);
  } catch (const nlohmann::json::exception& error) {
    throw_bad_input(where + ": is not valid JSON: " + printable(error.what()));
  }
}

nlohmann::json read_json_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  if (file.bytes().size() > kMaxFileBytes) {
    throw_bad_input(path.string() +
                    ": is larger than 64 MiB, too large for a JSON file of a model");
  }
  const ForeignContent content = foreign_content(file.bytes());
  if (content != ForeignContent::kNone) {
    throw_bad_input(path.string() + ": " + describe(content, file.bytes()));
  }
  return parse_strict_json(file.bytes(), path.string());
}

}  // namespace sam3trt
