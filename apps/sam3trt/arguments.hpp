#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
class Option;
}  // namespace CLI

namespace sam3trt {

// CLI11 reads meaning into values: brackets and commas make lists, "{}" is an empty one, "-x" is an
// option, and the name of an option that follows another one is its value. Here a value is what the
// user wrote, whatever it starts and ends with. So values travel through CLI11 behind a mark, which
// the options take off.

/// The command line with every value marked. What follows an option that takes values is a value,
/// unless it looks like an option ("--name" or "-h"); what follows "=" or "--" always is one.
/// Throws Error(kBadInput) for an option that is left without its value.
[[nodiscard]] std::vector<std::string> mark_values(const CLI::App& program,
                                                   const std::vector<std::string>& arguments);

/// One value behind its mark.
[[nodiscard]] std::string marked(std::string_view value);

/// A text of CLI11's without the marks of the values in it.
[[nodiscard]] std::string without_marks(std::string text);

/// Makes the options of a command take the marks off, before anything else looks at a value.
void take_marked_values(CLI::App& command);

/// Adds an option that may be repeated and takes several values each time. `values` keeps its
/// address and what it holds until the option is given.
CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                      const std::string& description);
CLI::Option* add_list(CLI::App& command, const std::string& name,
                      std::vector<std::filesystem::path>& values, const std::string& description);

}  // namespace sam3trt
