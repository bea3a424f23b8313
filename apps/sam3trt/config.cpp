#include "config.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>

#include "arguments.hpp"
#include "base/error.hpp"
#include "suggest.hpp"

namespace sam3trt {
namespace {

constexpr size_t kLargestFile = 64 * 1024;

int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

[[noreturn]] void fail(const std::filesystem::path& path, int line, const std::string& what) {
  throw_bad_input(path.string() + ":" + std::to_string(line) + ": " + what);
}

const char* kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return "nothing";
    case YAML::NodeType::Scalar:
      return "a single value";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
  }
  return "nothing";
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    throw_bad_input("--config " + path.string() + ": cannot be read; name a YAML file");
  }
  std::string text(kLargestFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kLargestFile) {
    throw_bad_input("--config " + path.string() + ": larger than 64 KiB; name a YAML file");
  }
  return text;
}

YAML::Node parse(const std::filesystem::path& path, const std::string& text) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail(path, error.mark.line + 1, "no YAML: " + error.msg);
  }
}

/// Calls `visit(key, value, line)` for each entry of a map with distinct scalar keys.
template <typename Visit>
void for_each_entry(const std::filesystem::path& path, const YAML::Node& map, Visit visit) {
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const int line = line_of(entry.first);
    if (!entry.first.IsScalar()) fail(path, line, "expected a name before ':'");
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) fail(path, line, "'" + key + "' appears twice");
    visit(key, entry.second, line);
  }
}

ConfigValue read_value(const std::filesystem::path& path, const std::string& key,
                       const YAML::Node& node, int line) {
  ConfigValue value{key, {}, node.IsSequence(), line};
  if (node.IsScalar()) value.items.push_back(node.Scalar());
  if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) {
        fail(path, line,
             "'" + key + "': expected single values in the list, found " + kind_of(item));
      }
      value.items.push_back(item.Scalar());
    }
  }
  if (value.items.empty()) {
    fail(path, line,
         "'" + key + "': expected a value or a list of values, found " +
             (node.IsSequence() ? "an empty list" : kind_of(node)));
  }
  return value;
}

std::string option_name(const std::string& key) {
  std::string name = "--" + key;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Keys that a command takes: its options, except those that would not make sense in a file.
std::vector<std::string> keys_of(const CLI::App& command) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : command.get_options()) {
    for (std::string key : option->get_lnames()) {
      if (key == "help" || key == "config" || key == "token") continue;
      std::replace(key.begin(), key.end(), '-', '_');
      keys.push_back(key);
    }
  }
  return keys;
}

bool is_number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end && std::isfinite(value);
}

bool is_integer(const std::string& text) {
  long long value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

/// What is wrong with `value` for `option`; empty when nothing is. Ranges and choices are checked
/// by the option itself.
std::string type_problem(const CLI::Option& option, const ConfigValue& value) {
  const bool is_flag = option.get_items_expected_max() == 0;
  if (value.is_list && option.get_items_expected_max() <= 1)
    return "expected one value, found a list";
  const std::string type = option.get_type_name();
  for (const std::string& item : value.items) {
    const std::string found = ", found '" + item + "'";
    if (is_flag && item != "true" && item != "false") return "expected true or false" + found;
    if (is_flag) continue;
    if (type.starts_with("FLOAT") && !is_number(item)) return "expected a number" + found;
    if ((type.starts_with("INT") || type.starts_with("UINT")) && !is_integer(item)) {
      return "expected a whole number" + found;
    }
    if (item.empty()) return "expected a text, found an empty one";
  }
  return {};
}

std::string problem_of(const CLI::App& command, const ConfigValue& value) {
  const std::vector<std::string> keys = keys_of(command);
  if (std::find(keys.begin(), keys.end(), value.key) == keys.end()) {
    return "unknown key '" + value.key + "' of '" + command.get_name() + "'" +
           suggestion(value.key, keys);
  }
  const std::string problem = type_problem(*command.get_option(option_name(value.key)), value);
  return problem.empty() ? "" : "'" + value.key + "': " + problem;
}

/// True when the command line has set the option, or one that cannot stand beside it.
bool is_decided(const CLI::Option& option) {
  if (option.count() > 0) return true;
  const auto excluded = option.get_excludes();
  return std::any_of(excluded.begin(), excluded.end(),
                     [](const CLI::Option* other) { return other->count() > 0; });
}

}  // namespace

Config Config::read(const std::filesystem::path& path) {
  const YAML::Node root = parse(path, read_text(path));
  Config config;
  config.path_ = path;
  if (root.IsNull()) return config;
  if (!root.IsMap()) {
    fail(path, line_of(root), std::string("expected a map of commands, found ") + kind_of(root));
  }
  for_each_entry(path, root, [&](const std::string& command, const YAML::Node& values, int line) {
    ConfigSection section{command, line, {}};
    if (!values.IsNull() && !values.IsMap()) {
      fail(path, line, "'" + command + "': expected a map of options, found " + kind_of(values));
    }
    for_each_entry(path, values, [&](const std::string& key, const YAML::Node& node, int at) {
      section.values.push_back(read_value(path, key, node, at));
    });
    config.sections_.push_back(std::move(section));
  });
  return config;
}

void Config::check(const CLI::App& program) const {
  std::vector<std::string> commands;
  for (const CLI::App* command : program.get_subcommands({})) {
    commands.push_back(command->get_name());
  }
  std::string problems;
  const auto add = [&](int line, const std::string& problem) {
    if (problem.empty()) return;
    if (!problems.empty()) problems += "\n";
    problems += path_.string() + ":" + std::to_string(line) + ": " + problem;
  };
  for (const ConfigSection& section : sections_) {
    if (std::find(commands.begin(), commands.end(), section.command) == commands.end()) {
      add(section.line,
          "unknown command '" + section.command + "'" + suggestion(section.command, commands));
      continue;
    }
    const CLI::App& command = *program.get_subcommand(section.command);
    for (const ConfigValue& value : section.values) add(value.line, problem_of(command, value));
  }
  if (!problems.empty()) throw_bad_input(problems);
}

std::vector<std::string> Config::arguments_for(const CLI::App& command) const {
  std::vector<std::string> arguments;
  for (const ConfigSection& section : sections_) {
    if (section.command != command.get_name()) continue;
    for (const ConfigValue& value : section.values) {
      const std::string name = option_name(value.key);
      const CLI::Option& option = *command.get_option(name);
      if (is_decided(option)) continue;
      const bool is_flag = option.get_items_expected_max() == 0;
      for (const std::string& item : value.items)
        arguments.push_back(name + "=" + (is_flag ? item : marked(item)));
    }
  }
  return arguments;
}

std::string Config::origin_of(const std::string& command, const std::string& option) const {
  for (const ConfigSection& section : sections_) {
    if (section.command != command) continue;
    for (const ConfigValue& value : section.values) {
      if (option_name(value.key) == option) {
        return path_.string() + ":" + std::to_string(value.line);
      }
    }
  }
  return {};
}

}  // namespace sam3trt
