#include "compile/part_builds.hpp"

#include <utility>

#include "base/log.hpp"
#include "base/parallel.hpp"
#include "compile/up_to_date.hpp"

namespace sam3trt {
std::vector<ModelPart> build_parts(const TensorRtApi& api, std::vector<EngineBuildRequest> requests,
                                   const PartBuilds& how) {
  std::vector<std::optional<EngineBuildResult>> found(requests.size());
  if (!how.force) {
    run_parallel(requests.size(), 1, [&](size_t i) {
      std::string reason;
      found[i] = find_up_to_date(api, requests[i], reason);
      if (!reason.empty()) log(LogLevel::kInfo, requests[i].output.string() + " " + reason);
    });
  }
  std::vector<const EngineBuildRequest*> changed;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!found[i]) changed.push_back(&requests[i]);
  }
  if (!changed.empty() && how.changed) how.changed(changed);
  std::vector<ModelPart> parts;
  parts.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    EngineBuildResult result = found[i] ? std::move(*found[i]) : how.build(requests[i]);
    parts.push_back({std::move(requests[i]), std::move(result)});
    if (how.done) how.done(parts.back());
  }
  return parts;
}

}  // namespace sam3trt
