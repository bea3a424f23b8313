#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sam3trt/image.hpp"
#include "sam3trt/model.hpp"

namespace sam3trt {

struct ModelFiles;

/// What `bench --clicks` is asked for.
struct ClicksBench {
  Image image;
  LoadOptions load;
  int warm_up = 5;
  int iterations = 30;
};

/// How long objects that are pointed at take once their image is encoded, to run lengths on the
/// host: 1, 4 and 16 objects of one click each, with one mask and with several; and the click that
/// comes first, which runs the neck, too. Throws as Session::interact does.
[[nodiscard]] nlohmann::ordered_json bench_clicks(const ModelFiles& files,
                                                  const ClicksBench& bench);

/// The same as a table on standard output.
void print_clicks_bench(const nlohmann::ordered_json& result);

}  // namespace sam3trt
