#include "arguments.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Starts no option's name, no number and no text that anyone would type.
constexpr char kMark = '\x02';

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_name_character(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::string name_of(const std::string& argument) { return argument.substr(0, argument.find('=')); }

/// "--name" or "--name=..." of any option, known or not, or a known "-h".
bool looks_like_an_option(const CLI::App& command, const std::string& argument) {
  const std::string name = name_of(argument);
  if (name.starts_with("--")) {
    return name.size() > 2 && is_letter(name[2]) && std::ranges::all_of(name, is_name_character);
  }
  return argument.size() == 2 && argument[0] == '-' &&
         command.get_option_no_throw(argument) != nullptr;
}

/// "-x", but not "-", "-5" and "-.5", which can be values anywhere.
bool is_dash_and_letter(const std::string& argument) {
  return argument.size() > 1 && argument[0] == '-' && is_letter(argument[1]);
}

class ValueMarker {
 public:
  explicit ValueMarker(const CLI::App& command) : command_(command) {}

  void add(const std::string& argument) {
    if (only_values_) return add_value(argument);
    if (argument == "--") {
      only_values_ = true;
    } else if (looks_like_an_option(command_, argument)) {
      if (lacks_value()) refuse(", found the option '" + argument + "'", argument);
      add_option(argument);
    } else if (is_dash_and_letter(argument) && !lacks_value()) {
      option_ = nullptr;
      result_.push_back(argument);
    } else {
      add_value(argument);
    }
  }

  std::vector<std::string> finish() {
    if (lacks_value()) refuse(", found nothing", "");
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool lacks_value() const {
    return option_ != nullptr && count_ == 0 && option_->get_items_expected_min() > 0;
  }

  void add_option(const std::string& argument) {
    const std::string name = name_of(argument);
    option_ = command_.get_option_no_throw(name);
    count_ = 0;
    if (option_ != nullptr && option_->get_items_expected_max() == 0) option_ = nullptr;
    if (option_ == nullptr || name.size() == argument.size()) {
      result_.push_back(argument);
    } else {
      result_.push_back(name + "=" + marked(argument.substr(name.size() + 1)));
      ++count_;
    }
  }

  void add_value(const std::string& argument) {
    result_.push_back(marked(argument));
    ++count_;
  }

  [[noreturn]] void refuse(const std::string& found, const std::string& value) const {
    const std::string name = option_->get_name();
    throw_bad_input(name + ": expected a value" + found +
                    (value.empty() ? "" : "; if that is the value, write " + name + "=" + value) +
                    "; see 'sam3trt " + command_.get_name() + " --help'");
  }

  const CLI::App& command_;
  const CLI::Option* option_ = nullptr;  ///< The last one that takes values.
  size_t count_ = 0;                     ///< Its values so far.
  bool only_values_ = false;
  std::vector<std::string> result_;
};

}  // namespace

std::string marked(std::string_view value) { return kMark + std::string(value); }

std::string without_marks(std::string text) {
  std::erase(text, kMark);
  return text;
}

std::vector<std::string> mark_values(const CLI::App& program,
                                     const std::vector<std::string>& arguments) {
  const CLI::App* command = nullptr;
  for (const CLI::App* candidate : program.get_subcommands({})) {
    if (candidate->get_name() == arguments.front()) command = candidate;
  }
  if (command == nullptr) return arguments;
  ValueMarker marker(*command);
  for (size_t i = 1; i < arguments.size(); ++i) marker.add(arguments[i]);
  std::vector<std::string> result = marker.finish();
  result.insert(result.begin(), arguments.front());
  return result;
}

void take_marked_values(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (option->get_items_expected_max() == 0) continue;
    option->transform(
        [](std::string value) { return value.starts_with(kMark) ? value.substr(1) : value; });
    // Lists are of texts and paths, which what uses them checks; a value that may be left out may
    // be empty.
    if (option->get_items_expected_max() > 1 || option->get_items_expected_min() == 0) continue;
    option->check([](const std::string& value) {
      return value.empty() ? std::string("expected a value, found an empty one") : std::string();
    });
  }
}

namespace {

template <typename Value>
CLI::Option* add_list_of(CLI::App& command, const std::string& name, std::vector<Value>& values,
                         const std::string& description) {
  // Not CLI11's own lists: they take a lone "{}" for an empty one.
  CLI::Option* option = command.add_option(
      name,
      [&values](const CLI::results_t& results) {
        values.assign(results.begin(), results.end());
        return true;
      },
      description, false,
      [&values]() {
        const std::vector<std::string> texts(values.begin(), values.end());
        return texts.empty() ? std::string() : "[" + CLI::detail::join(texts) + "]";
      });
  option->type_name("TEXT")->type_size(1);
  return option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args();
}

}  // namespace

CLI::Option* add_list(CLI::App& command, const std::string& name, std::vector<std::string>& values,
                      const std::string& description) {
  return add_list_of(command, name, values, description);
}

CLI::Option* add_list(CLI::App& command, const std::string& name,
                      std::vector<std::filesystem::path>& values, const std::string& description) {
  return add_list_of(command, name, values, description);
}

}  // namespace sam3trt
