#pragma once

#include <exception>
#include <functional>
#include <mutex>
#include <optional>

namespace sam3trt {

/// A value that is computed once, whichever thread asks first; the others wait for it. What threw
/// once throws the same again.
template <typename T>
class SharedResult {
 public:
  [[nodiscard]] const T& get(const std::function<T()>& compute) {
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(error_);
    if (value_) return *value_;
    try {
      value_ = compute();
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
    return *value_;
  }

 private:
  std::mutex mutex_;
  std::optional<T> value_;
  std::exception_ptr error_;
};

}  // namespace sam3trt
