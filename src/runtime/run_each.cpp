#include "runtime/run_each.hpp"

#include <exception>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace sam3trt {

void keep_error(ImageResult& result, const std::function<void()>& action) {
  try {
    return action();
  } catch (const Error& error) {
    result.error = error.what();
    result.error_code = error.code();
  } catch (const std::bad_alloc&) {
    result.error = "out of memory";
    result.error_code = ErrorCode::kInternal;
  } catch (const std::exception& error) {
    result.error = error.what();
    result.error_code = ErrorCode::kInternal;
  }
}

std::vector<ImageResult> run_each(std::span<const ImageRequest> requests, const RunTogether& run) {
  if (requests.empty()) return {};
  ImageResult failure;
  std::vector<ImageResult> results;
  keep_error(failure, [&] { results = run(requests); });
  if (!failure.error) return results;
  if (requests.size() == 1) return {std::move(failure)};
  log(LogLevel::kInfo,
      "these images failed together (" + *failure.error + "); running them one by one");
  results.clear();
  for (const ImageRequest& request : requests) {
    results.push_back(std::move(run_each({&request, 1}, run).front()));
  }
  return results;
}

}  // namespace sam3trt
