#include "verify/published.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "verify/builtin_published.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr std::array<Precision, 4> kPrecisions = {Precision::kFp32, Precision::kFp16,
                                                  Precision::kBf16, Precision::kFp8};

/// How many numbers a kind of case may state under a name; 0: any number.
using Names = std::map<std::string, size_t, std::less<>>;

const std::map<std::string, Names, std::less<>>& kinds() {
  static const std::map<std::string, Names, std::less<>> kKinds = {
      {"concept",
       {{"scores", 0},
        {"logits", 0},
        {"best_box", 4},
        {"best_mask_logits", 9},
        {"instance_score", 1},
        {"instance_box", 4}}},
  };
  return kKinds;
}

/// Reads values and collects what is wrong.
class Reader {
 public:
  void fail(const std::string& where, const std::string& what) {
    problems_ += "\n  " + where + ": " + what;
  }

  const Json& at(const Json& parent, const std::string& key) const {
    static const Json kNone;
    return parent.is_object() && parent.contains(key) ? parent[key] : kNone;
  }

  const Json& object(const Json& parent, const std::string& key, const std::string& where) {
    static const Json kEmpty = Json::object();
    const Json& value = at(parent, key);
    if (value.is_object()) return value;
    fail(where + "/" + key, "expected an object");
    return kEmpty;
  }

  std::string text(const Json& parent, const std::string& key, const std::string& where) {
    const Json& value = at(parent, key);
    if (value.is_string()) return value.get<std::string>();
    fail(where + "/" + key, "expected a text");
    return {};
  }

  int64_t count(const Json& parent, const std::string& key, const std::string& where) {
    const Json& value = at(parent, key);
    if (value.is_number_unsigned() && value.get<uint64_t>() <= (uint64_t{1} << 31U)) {
      return value.get<int64_t>();
    }
    fail(where + "/" + key, "expected a whole number");
    return 0;
  }

  double number(const Json& value, const std::string& where) {
    if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
    fail(where, "expected a number");
    return 0;
  }

  std::vector<double> numbers(const Json& value, const std::string& where) {
    std::vector<double> list;
    if (!value.is_array() || value.empty()) fail(where, "expected a list of numbers");
    for (const Json& entry : value) list.push_back(number(entry, where));
    return list;
  }

  void known(const Json& object, std::initializer_list<std::string_view> keys,
             const std::string& where) {
    if (!object.is_object()) return;
    for (const auto& item : object.items()) {
      if (std::ranges::find(keys, item.key()) != keys.end()) continue;
      fail(where + "/" + item.key(), "unknown key");
    }
  }

  void check(const std::string& where) const {
    if (problems_.empty()) return;
    throw_bad_input(where +
                    ": wrong table of published results (docs/verification.md):" + problems_);
  }

 private:
  std::string problems_;
};

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 200 && name.front() != '.' &&
         name.find_first_of("/\\") == std::string::npos &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f'; });
}

Prompt read_prompt(Reader& reader, const Json& entry, const std::string& where) {
  Prompt prompt;
  if (!reader.at(entry, "text").is_null()) prompt.text = reader.text(entry, "text", where);
  const Json& boxes = reader.at(entry, "boxes");
  const Json& labels = reader.at(entry, "box_labels");
  const size_t count = boxes.is_array() ? boxes.size() : 0;
  if ((!boxes.is_null() && !boxes.is_array()) || (labels.is_array() ? labels.size() : 0) != count) {
    reader.fail(where + "/boxes", "expected a list, and as many box_labels");
    return prompt;
  }
  for (size_t i = 0; i < count; ++i) {
    const auto box = reader.numbers(boxes[i], where + "/boxes");
    const double label = reader.number(labels[i], where + "/box_labels");
    if (box.size() != 4 || (label != 0 && label != 1)) {
      reader.fail(where + "/boxes", "expected x0, y0, x1, y1 and a label of 0 or 1");
      continue;
    }
    prompt.boxes.push_back({{box[0], box[1], box[2], box[3]}, label == 1});
  }
  if (!prompt.text && prompt.boxes.empty()) reader.fail(where, "neither text nor boxes");
  return prompt;
}

PublishedCase read_case(Reader& reader, const Json& entry, const std::string& where) {
  reader.known(
      entry,
      {"name", "kind", "test", "image", "text", "boxes", "box_labels", "threshold", "expected"},
      where);
  PublishedCase published;
  published.name = reader.text(entry, "name", where);
  published.kind = reader.text(entry, "kind", where);
  published.test = reader.text(entry, "test", where);
  published.image = reader.text(entry, "image", where);
  published.prompt = read_prompt(reader, entry, where);
  published.threshold = reader.number(reader.at(entry, "threshold"), where + "/threshold");
  const auto kind = kinds().find(published.kind);
  if (kind == kinds().end()) {
    reader.fail(where + "/kind", "'" + published.kind + "' is not a kind that this program runs");
    return published;
  }
  const Json& expected = reader.object(entry, "expected", where);
  if (expected.empty()) reader.fail(where + "/expected", "states nothing");
  for (const auto& item : expected.items()) {
    const std::string place = where + "/expected/" + item.key();
    const auto name = kind->second.find(item.key());
    if (name == kind->second.end()) {
      reader.fail(place, "unknown name for the kind '" + published.kind + "'");
      continue;
    }
    std::vector<double> numbers = reader.numbers(item.value(), place);
    if (name->second != 0 && numbers.size() != name->second) {
      reader.fail(place, "expected " + std::to_string(name->second) + " numbers");
    }
    published.expected[item.key()] = std::move(numbers);
  }
  return published;
}

void read_images(Reader& reader, const Json& json, PublishedTable& table) {
  const Json& images = reader.object(json, "images", "");
  reader.known(images, {"name", "url", "files"}, "/images");
  table.images_name = reader.text(images, "name", "/images");
  table.images_url = reader.text(images, "url", "/images");
  const Json& files = reader.object(images, "files", "/images");
  for (const auto& item : files.items()) {
    const std::string where = "/images/files/" + item.key();
    if (!is_plain_name(item.key())) reader.fail(where, "expected a plain file name");
    reader.known(item.value(), {"sha256"}, where);
    PublishedImage image{item.key(), {}};
    if (!reader.at(item.value(), "sha256").is_null()) {
      image.sha256 = reader.text(item.value(), "sha256", where);
    }
    table.images.push_back(std::move(image));
  }
}

void read_tolerances(Reader& reader, const Json& json, PublishedTable& table) {
  const Json& tolerances = reader.object(json, "tolerances", "");
  for (const Precision precision : kPrecisions) {
    const std::string name(name_of(precision));
    const Json& own = reader.object(tolerances, name, "/tolerances");
    for (const auto& item : own.items()) {
      const std::string where = "/tolerances/" + name + "/" + item.key();
      const double value = reader.number(item.value(), where);
      if (value < 0) reader.fail(where, "expected a number of at least 0");
      table.tolerances[precision][item.key()] = value;
    }
  }
}

/// What every case needs of the rest of the table.
void check_case(Reader& reader, const PublishedTable& table, const PublishedCase& published,
                const std::string& where) {
  if (std::ranges::find(table.images, published.image, &PublishedImage::name) ==
      table.images.end()) {
    reader.fail(where + "/image", "'" + published.image + "' is not among /images/files");
  }
  for (const auto& [name, numbers] : published.expected) {
    for (const Precision precision : kPrecisions) {
      const auto found = table.tolerances.find(precision);
      if (found != table.tolerances.end() && found->second.contains(name)) continue;
      reader.fail("/tolerances/" + std::string(name_of(precision)) + "/" + name, "is missing");
    }
  }
}

std::string in_digits(double value, const char* format) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

}  // namespace

PublishedTable PublishedTable::builtin() {
  return parse(builtin_published(), "configs/verify/published.json");
}

PublishedTable PublishedTable::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  constexpr size_t kLargest = size_t{4} << 20;
  if (file.bytes().size() > kLargest) throw_bad_input(path.string() + ": larger than 4 MiB");
  return parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
               path.string());
}

PublishedTable PublishedTable::parse(std::string_view text, const std::string& where) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw_bad_input(where + ": not a JSON object");
  if (json.value("format", Json()) != Json(1)) throw_bad_input(where + "/format: expected 1");
  Reader reader;
  PublishedTable table;
  reader.known(
      json,
      {"format", "source", "checkpoint", "semantics", "images", "tolerances", "cases", "left_out"},
      "");
  const Json& source = reader.object(json, "source", "");
  table.source = reader.text(source, "repository", "/source") + " " +
                 reader.text(source, "commit", "/source") + " " +
                 reader.text(source, "file", "/source");
  const Json& checkpoint = reader.object(json, "checkpoint", "");
  table.checkpoint = reader.text(checkpoint, "name", "/checkpoint");
  table.image_size = reader.count(checkpoint, "image_size", "/checkpoint");
  table.num_queries = reader.count(checkpoint, "num_queries", "/checkpoint");
  table.semantics = reader.text(json, "semantics", "");
  read_images(reader, json, table);
  read_tolerances(reader, json, table);
  const Json& cases = reader.at(json, "cases");
  if (!cases.is_array() || cases.empty()) reader.fail("/cases", "expected a list of cases");
  std::set<std::string> names;
  for (size_t i = 0; i < (cases.is_array() ? cases.size() : 0); ++i) {
    const std::string place = "/cases/" + std::to_string(i);
    table.cases.push_back(read_case(reader, cases[i], place));
    check_case(reader, table, table.cases.back(), place);
    if (!names.insert(table.cases.back().name).second) reader.fail(place, "a name given before");
  }
  reader.check(where);
  return table;
}

bool PublishedValue::ok() const { return std::abs(difference()) <= allowed; }

std::vector<PublishedValue> compare_published(const PublishedCase& published,
                                              const NamedNumbers& found,
                                              const std::map<std::string, double>& tolerances) {
  std::vector<PublishedValue> values;
  for (const auto& [name, expected] : published.expected) {
    const auto own = found.find(name);
    for (size_t i = 0; i < expected.size(); ++i) {
      const bool missing = own == found.end() || own->second.size() <= i;
      values.push_back(
          {published.name + ": " + name + (expected.size() == 1 ? "" : " " + std::to_string(i + 1)),
           expected[i], missing ? std::nan("") : own->second[i], tolerances.at(name)});
    }
  }
  return values;
}

std::string to_table(const std::vector<PublishedValue>& values) {
  size_t width = 8;
  for (const PublishedValue& value : values) width = std::max(width, value.which.size() + 2);
  std::string table = padded("value", width) + padded("expected", 13) + padded("found", 13) +
                      padded("difference", 13) + padded("allowed", 10) + "verdict\n";
  for (const PublishedValue& value : values) {
    const bool found = !std::isnan(value.found);
    table += padded(value.which, width) + padded(in_digits(value.expected, "%.4f"), 13) +
             padded(found ? in_digits(value.found, "%.4f") : "nothing", 13) +
             padded(found ? in_digits(value.difference(), "%+.2g") : "-", 13) +
             padded(in_digits(value.allowed, "%.2g"), 10) + (value.ok() ? "ok" : "OFF") + "\n";
  }
  return table;
}

std::string to_json(const std::vector<PublishedValue>& values) {
  const auto number = [](double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PublishedValue& value : values) {
    list.push_back({{"value", value.which},
                    {"expected", value.expected},
                    {"found", number(value.found)},
                    {"difference", number(value.difference())},
                    {"allowed", value.allowed},
                    {"ok", value.ok()}});
  }
  return list.dump();
}

}  // namespace sam3trt
