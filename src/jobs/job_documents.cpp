#include "jobs/job_documents.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "runtime/prompt.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Whether a line says it of the whole run, and a document once.
bool is_of_run(const std::string& name) {
  return name == "version" || name == "backend" || name == "semantics" || name == "verified" ||
         name == "unverified";
}

/// Values that belong together, one after the other in a list.
class ListWriter {
 public:
  explicit ListWriter(const WriteText& write) : write_(write) {}

  void add(const std::string& text) {
    write_(first_ ? "\n" : ",\n");
    write_(text);
    first_ = false;
  }

  /// "]" where JSON with an indent of 1 has it.
  void end() { write_(first_ ? "]" : "\n ]"); }

 private:
  const WriteText& write_;
  bool first_ = true;
};

/// `json` with an indent of 1, as a value `depth` levels deep.
std::string indented(const Json& json, size_t depth) {
  const std::string text = json.dump(1, ' ', false, Json::error_handler_t::replace);
  const std::string margin(depth, ' ');
  std::string result = margin;
  for (const char c : text) {
    result += c;
    if (c == '\n') result += margin;  // in texts line feeds are escaped
  }
  return result;
}

}  // namespace

void write_json_document(const RunHeader& header, const ResultLines& lines,
                         const WriteText& write) {
  Json start = Json::object();
  const Json sample = Json::parse(to_json_line(header, {}, std::nullopt));
  for (const auto& [name, value] : sample.items()) {
    if (is_of_run(name)) start[name] = value;
  }
  std::string text = start.dump(1, ' ', false, Json::error_handler_t::replace);
  text.resize(text.size() - 2);  // "\n}"
  write(text + ",\n \"images\": [");
  ListWriter images(write);
  lines.each([&](const std::string& line) {
    Json entry = Json::object();
    const Json parsed = Json::parse(line);
    for (const auto& [name, value] : parsed.items()) {
      if (!is_of_run(name) && name != "bytes" && name != "modified") entry[name] = value;
    }
    images.add(indented(entry, 2));
  });
  images.end();
  write("\n}\n");
}

void write_coco_document(std::span<const Prompt> prompts, const ResultLines& lines,
                         const WriteText& write) {
  // Prompts of one text are one category, and so are all objects that were pointed at.
  constexpr const char* kObjects = "object";
  std::map<std::string, size_t> categories;
  write("{\n \"categories\": [");
  ListWriter category_list(write);
  const auto add_category = [&](const std::string& name) {
    const auto [known, fresh] = categories.emplace(name, categories.size() + 1);
    if (fresh) category_list.add("  " + text_of({{"id", known->second}, {"name", name}}));
  };
  for (const Prompt& prompt : prompts) {
    const std::string name(effective_text(prompt));
    add_category(name);
  }
  bool has_objects = false;
  lines.each([&](const std::string& line) {
    has_objects = has_objects || Json::parse(line).contains("objects");
  });
  if (has_objects) add_category(kObjects);
  category_list.end();

  write(",\n \"images\": [");
  ListWriter images(write);
  size_t image_id = 0;
  lines.each([&](const std::string& line) {
    const Json entry = Json::parse(line);
    if (!entry.contains("prompts")) return;
    images.add("  " + text_of({{"id", ++image_id},
                               {"file_name", entry.at("path")},
                               {"width", entry.at("width")},
                               {"height", entry.at("height")}}));
  });
  images.end();

  write(",\n \"annotations\": [");
  ListWriter annotations(write);
  image_id = 0;
  size_t annotation_id = 0;
  lines.each([&](const std::string& line) {
    const Json entry = Json::parse(line);
    if (!entry.contains("prompts")) return;
    ++image_id;
    const auto add = [&](const Json& found, const std::string& category) {
      const auto box = found.at("box").get<std::vector<double>>();
      annotations.add(
          "  " +
          text_of({{"id", ++annotation_id},
                   {"image_id", image_id},
                   {"category_id", categories.at(category)},
                   {"bbox", {box.at(0), box.at(1), box.at(2) - box.at(0), box.at(3) - box.at(1)}},
                   {"area", found.at("area")},
                   {"segmentation", found.at("mask")},
                   {"iscrowd", 0},
                   {"score", found.at("score")}}));
    };
    for (const Json& prompt : entry.at("prompts")) {
      Prompt asked;
      if (prompt.at("text").is_string()) asked.text = prompt.at("text").get<std::string>();
      for (const Json& instance : prompt.at("instances")) {
        add(instance, std::string(effective_text(asked)));
      }
    }
    for (const Json& object : entry.value("objects", Json::array())) {
      // Columns and rows of pixels, the last ones included.
      Json found = object;
      found["box"] = {object.at("box").at(0), object.at("box").at(1),
                      object.at("box").at(2).get<double>() + 1,
                      object.at("box").at(3).get<double>() + 1};
      add(found, kObjects);
    }
  });
  annotations.end();

  write(",\n \"errors\": [");
  ListWriter errors(write);
  lines.each([&](const std::string& line) {
    const Json entry = Json::parse(line);
    if (!entry.contains("error")) return;
    errors.add("  " + text_of({{"file_name", entry.at("path")}, {"error", entry.at("error")}}));
  });
  errors.end();
  write("\n}\n");
}

}  // namespace sam3trt
