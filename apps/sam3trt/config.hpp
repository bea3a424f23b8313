#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace sam3trt {

/// One value of a configuration file, as text.
struct ConfigValue {
  std::string key;  ///< Name of a command's option, "_" in place of "-": "mask_threshold".
  std::vector<std::string> items;
  bool is_list = false;
  int line = 0;
};

/// The values for one command.
struct ConfigSection {
  std::string command;
  int line = 0;
  std::vector<ConfigValue> values;
};

/// A configuration file: a YAML map from command to a map from option to value, for example
/// `infer: {model: models/sam3_onnx, threshold: 0.5}`. A value is a scalar or a list of scalars.
class Config {
 public:
  /// Reads the file. Throws Error(kBadInput) that names file and line when it is larger than 64
  /// KiB, no YAML, or not of that form.
  static Config read(const std::filesystem::path& path);

  /// Checks every section against the program's commands and their options: throws
  /// Error(kBadInput) that lists all unknown commands and keys, each with the nearest known one,
  /// and all values of a wrong type.
  void check(const CLI::App& program) const;

  /// Arguments ("--key=value", marked) that give `command` the values of its section. Options that
  /// the command line has set are left alone, and so are options that exclude one it has set.
  [[nodiscard]] std::vector<std::string> arguments_for(const CLI::App& command) const;

  /// "FILE:LINE" of the value for that option ("--threshold") of a command; empty without one.
  [[nodiscard]] std::string origin_of(const std::string& command, const std::string& option) const;

 private:
  std::filesystem::path path_;
  std::vector<ConfigSection> sections_;
};

}  // namespace sam3trt
