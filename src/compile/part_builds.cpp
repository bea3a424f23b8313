#include "compile/part_builds.hpp"

#include <future>
#include <utility>

#include "base/log.hpp"
#include "compile/up_to_date.hpp"

namespace sam3trt {
namespace {

template <typename T>
std::vector<T> results_of(const std::vector<std::function<T()>>& calls) {
  std::vector<std::future<T>> futures;
  futures.reserve(calls.size());
  for (const auto& call : calls) futures.push_back(std::async(std::launch::async, call));
  std::vector<T> results;
  results.reserve(calls.size());
  for (auto& future : futures) results.push_back(future.get());
  return results;
}

}  // namespace

std::vector<std::string> side_by_side(const std::vector<std::function<std::string()>>& calls) {
  return results_of(calls);
}

std::vector<ModelPart> build_parts(const TensorRtApi& api, std::vector<EngineBuildRequest> requests,
                                   const PartBuilds& how) {
  using Found = std::optional<EngineBuildResult>;
  std::vector<Found> found(requests.size());
  if (!how.force) {
    std::vector<std::function<Found()>> calls;
    calls.reserve(requests.size());
    for (const EngineBuildRequest& request : requests) {
      calls.emplace_back([&api, &request] {
        std::string reason;
        Found result = find_up_to_date(api, request, reason);
        if (!reason.empty()) log(LogLevel::kInfo, request.output.string() + " " + reason);
        return result;
      });
    }
    found = results_of(calls);
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
