#include "command_line.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include "arguments.hpp"
#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "commands.hpp"
#include "config.hpp"
#include "sam3trt/version.hpp"
#include "suggest.hpp"

namespace sam3trt {
namespace {

/// The commands with their options; the callbacks refer to the context.
struct Program {
  Program() {
    app.set_version_flag("--version", "sam3trt " SAM3TRT_VERSION);
    app.require_subcommand(1);
    app.footer("'sam3trt COMMAND --help' explains a command and gives an example.");
    add_download_command(app, context);
    add_export_command(app, context);
    add_build_command(app, context);
    add_infer_command(app, context);
    add_track_command(app, context);
    add_serve_command(app, context);
    add_triton_repository_command(app, context);
    add_verify_command(app, context);
    add_bench_command(app, context);
    add_inspect_command(app, context);
    add_doctor_command(app, context);
    for (CLI::App* command : app.get_subcommands({})) {
      command->add_option("--config", context.config,
                          "YAML file with defaults, such as configs/sam3_trt.yaml");
      command->add_flag("--json", context.json, "Print the result as JSON");
      command->add_flag("--verbose", context.verbose, "Say what is being done");
      take_marked_values(*command);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  }

  /// The command that has been parsed; null before.
  [[nodiscard]] CLI::App* command() const {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? nullptr : parsed.front();
  }

  CommandContext context;
  CLI::App app{"SAM 3 from a checkpoint to ONNX graphs, from graphs and prompts to masks",
               "sam3trt"};
};

/// Sends the library's messages to standard error as long as it lives.
class LogToStandardError {
 public:
  explicit LogToStandardError(const CommandContext& context) {
    set_log_sink([&context](LogLevel level, std::string_view message) {
      if (level == LogLevel::kWarning) {
        std::cerr << "sam3trt: warning: " << message << "\n";
      } else if (context.verbose) {
        std::cerr << "sam3trt: " << message << "\n";
      }
    });
  }
  ~LogToStandardError() { set_log_sink({}); }
  LogToStandardError(const LogToStandardError&) = delete;
  LogToStandardError& operator=(const LogToStandardError&) = delete;
};

void check_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw_bad_input("no command given; 'sam3trt --help' lists them");
  if (arguments.front().starts_with("-")) return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), arguments.front()) == names.end()) {
    throw_bad_input("unknown command '" + arguments.front() + "'" +
                    suggestion(arguments.front(), names) + "; 'sam3trt --help' lists all");
  }
}

/// The configuration file that the command line names, if any. Learns also which options the
/// command line sets: `probe` has parsed it, without running the command. Values are marked.
std::optional<Config> read_config(Program& probe, const std::vector<std::string>& arguments) {
  const bool named = std::any_of(arguments.begin(), arguments.end(), [](const std::string& text) {
    return text == "--config" || text.starts_with("--config=");
  });
  if (!named) return std::nullopt;
  // The commands' own callbacks, which come next, hold the options.
  probe.app.parse_complete_callback([] { throw CLI::Success(); });
  for (CLI::App* command : probe.app.get_subcommands({})) {
    for (CLI::Option* option : command->get_options()) option->required(false);
  }
  try {
    probe.parse(arguments);
  } catch (const CLI::Success& end) {
    if (end.get_name() != "Success") return std::nullopt;  // --help, --version
  } catch (const CLI::ParseError&) {
    return std::nullopt;  // the parse that counts meets the same error and explains it
  }
  Config config = Config::read(probe.context.config);
  config.check(probe.app);
  return config;
}

std::vector<std::string> with_config(const std::vector<std::string>& arguments,
                                     const Config& config, const CLI::App& command) {
  std::vector<std::string> result = arguments;
  const std::vector<std::string> added = config.arguments_for(command);
  result.insert(result.end(), added.begin(), added.end());
  return result;
}

/// One sentence about what is wrong with the command line, and where to read more.
std::string explain(const Program& program, const CLI::ParseError& error,
                    const std::optional<Config>& config) {
  const CLI::App* command = program.command();
  const std::string help =
      command == nullptr ? "'sam3trt --help'" : "'sam3trt " + command->get_name() + " --help'";
  const CLI::App& app = command == nullptr ? program.app : *command;
  for (const std::string& text : app.remaining()) {
    if (!text.starts_with("-")) continue;
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    const std::string name = text.substr(0, text.find('='));
    const std::string known = suggestion(name, names);
    const bool is_long = name.starts_with("--");
    return "unknown option '" + name + "'" + known +
           (is_long ? "" : "; a value that starts with '-' goes behind '=', as in --text=" + name) +
           "; see " + help;
  }
  std::string unexpected;
  for (const std::string& text : app.remaining()) {
    unexpected += (unexpected.empty() ? "'" : ", '") + without_marks(text) + "'";
  }
  if (!unexpected.empty()) return "no option takes " + unexpected + "; see " + help;
  std::string message = without_marks(error.what());
  if (command != nullptr && config) {
    const std::string option = message.substr(0, message.find_first_of(": "));
    const std::string origin = config->origin_of(command->get_name(), option);
    if (!origin.empty()) message += " (" + origin + ")";
  }
  return message + "; see " + help;
}

}  // namespace

int run_command_line(const std::vector<std::string>& arguments) {
  Program program;
  check_command(program.app, arguments);
  const std::vector<std::string> values_marked = mark_values(program.app, arguments);
  Program probe;
  const std::optional<Config> config = read_config(probe, values_marked);
  const LogToStandardError log_sink(program.context);
  sweep_cache_folder();
  try {
    program.parse(config ? with_config(values_marked, *config, *probe.command()) : values_marked);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.app.exit(error);  // --help, --version
    throw_bad_input(explain(program, error, config));
  }
  return program.context.exit_code;
}

}  // namespace sam3trt
