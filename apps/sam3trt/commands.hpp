#pragma once

#include <CLI/CLI.hpp>

#include "context.hpp"

namespace sam3trt {

// Every command is one file; its function adds the subcommand to the program. What a command does
// runs in its callback and throws Error on failure. --config, --json and --verbose are added to
// every command by the frame (command_line.cpp).

void add_download_command(CLI::App& app, CommandContext& context);
void add_export_command(CLI::App& app, CommandContext& context);
void add_build_command(CLI::App& app, CommandContext& context);
void add_infer_command(CLI::App& app, CommandContext& context);
void add_track_command(CLI::App& app, CommandContext& context);
void add_serve_command(CLI::App& app, CommandContext& context);
void add_triton_repository_command(CLI::App& app, CommandContext& context);
void add_verify_command(CLI::App& app, CommandContext& context);
void add_bench_command(CLI::App& app, CommandContext& context);
void add_inspect_command(CLI::App& app, CommandContext& context);
void add_doctor_command(CLI::App& app, CommandContext& context);

}  // namespace sam3trt
