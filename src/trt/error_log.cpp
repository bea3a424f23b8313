#include "trt/error_log.hpp"

#include <algorithm>
#include <utility>

namespace sam3trt {

ErrorLog::Call::Call(ErrorLog& log, Workers workers) : log_(log), workers_(workers) {
  const std::lock_guard lock(log_.mutex_);
  log_.calls_.push_back(this);
}

ErrorLog::Call::~Call() {
  const std::lock_guard lock(log_.mutex_);
  std::erase(log_.calls_, this);
}

std::string ErrorLog::Call::take() {
  std::vector<std::string> errors;
  {
    const std::lock_guard lock(log_.mutex_);
    errors = std::exchange(errors_, {});
  }
  std::string text;
  for (const std::string& error : errors) text += (text.empty() ? "" : "; ") + error;
  return text.empty() ? "no reason given" : text;
}

bool ErrorLog::add(std::string_view message) {
  const std::lock_guard lock(mutex_);
  const auto keep = [&](Call& call) {
    if (call.errors_.size() < Call::kKept) call.errors_.emplace_back(message);
  };
  const auto here = std::this_thread::get_id();
  const auto own = std::find_if(calls_.rbegin(), calls_.rend(),  // the newest first
                                [&](const Call* call) { return call->thread_ == here; });
  if (own != calls_.rend()) {
    keep(**own);
    return true;
  }
  bool taken = false;
  for (Call* call : calls_) {
    if (call->workers_ == Workers::kNo) continue;
    keep(*call);
    taken = true;
  }
  return taken;
}

}  // namespace sam3trt
