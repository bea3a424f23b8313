// In place of serve.cpp in a build with SAM3TRT_SERVER=OFF.
#include "base/error.hpp"
#include "commands.hpp"

namespace sam3trt {

void add_serve_command(CLI::App& app, CommandContext& /*context*/) {
  CLI::App* command = app.add_subcommand("serve", "Not in this build: answer requests over HTTP");
  command->allow_extras();
  command->callback([] {
    throw Error(ErrorCode::kUnavailable,
                "this sam3trt was built without the server (SAM3TRT_SERVER=OFF): build it with "
                "'make', or install the package of your distribution");
  });
}

}  // namespace sam3trt
