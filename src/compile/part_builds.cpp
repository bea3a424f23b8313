#include "compile/part_builds.hpp"

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.hpp"
#include "base/parallel.hpp"
#include "compile/up_to_date.hpp"

namespace sam3trt {
namespace {

using Results = std::vector<std::optional<EngineBuildResult>>;

/// Each thread takes the next request without a result, until there is none or one failed.
void build_missing(const std::vector<EngineBuildRequest>& requests, Results& results,
                   const PartBuilds& how) {
  std::mutex mutex;
  std::exception_ptr error;
  size_t next = 0;
  const auto take = [&]() -> std::optional<size_t> {
    const std::lock_guard lock(mutex);
    while (next < requests.size() && results[next]) ++next;
    if (error || next == requests.size()) return std::nullopt;
    return next++;
  };
  const auto work = [&] {
    while (const auto i = take()) {
      try {
        EngineBuildResult result = how.build(requests[*i]);
        const std::lock_guard lock(mutex);
        results[*i] = std::move(result);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (error) continue;
        error = std::current_exception();
        if (how.failed) how.failed();
      }
    }
  };
  const auto missing =
      static_cast<size_t>(std::ranges::count_if(results, [](const auto& r) { return !r; }));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < std::min(how.jobs, missing); ++i) threads.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace

std::vector<ModelPart> build_parts(const TensorRtApi& api, std::vector<EngineBuildRequest> requests,
                                   const PartBuilds& how) {
  Results found(requests.size());
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
  for (size_t i = 0; i < requests.size(); ++i) {
    if (found[i] && how.kept) how.kept({requests[i], *found[i]});
  }
  build_missing(requests, found, how);
  std::vector<ModelPart> parts;
  parts.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    parts.push_back({std::move(requests[i]), std::move(*found[i])});
  }
  return parts;
}

}  // namespace sam3trt
