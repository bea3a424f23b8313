// In place of download.cpp in a build with SAM3TRT_HUB=OFF.
#include "base/error.hpp"
#include "commands.hpp"

namespace sam3trt {

void add_download_command(CLI::App& app, CommandContext& /*context*/) {
  CLI::App* command =
      app.add_subcommand("download", "Not in this build: fetch a checkpoint in another way");
  command->allow_extras();
  command->callback([] {
    throw Error(ErrorCode::kUnavailable,
                "this sam3trt was built without downloading (SAM3TRT_HUB=OFF): fetch the "
                "checkpoint with 'hf download facebook/sam3 --local-dir models/sam3', or with "
                "sam3trt.download() of the Python package");
  });
}

}  // namespace sam3trt
