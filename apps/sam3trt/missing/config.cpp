// In place of config.cpp in a build with SAM3TRT_CONFIG_FILES=OFF.
#include "config.hpp"

#include "base/error.hpp"

namespace sam3trt {

Config Config::read(const std::filesystem::path& path) {
  throw Error(ErrorCode::kUnavailable,
              "--config " + path.string() +
                  ": this sam3trt was built without configuration files "
                  "(SAM3TRT_CONFIG_FILES=OFF); give the options on the command line");
}

void Config::check(const CLI::App& /*program*/) const {}

std::vector<std::string> Config::arguments_for(const CLI::App& /*command*/) const { return {}; }

std::string Config::origin_of(const std::string& /*command*/, const std::string& /*option*/) const {
  return {};
}

}  // namespace sam3trt
