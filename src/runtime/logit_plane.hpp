#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sam3trt {

/// Float32 numbers of a square mask, row-major, that never change: in host memory, or in that of a
/// backend, which uses them there. Copies share them. They may outlive the backend.
class LogitPlane {
 public:
  /// Where they are.
  class Store {
   public:
    Store() = default;
    virtual ~Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    [[nodiscard]] virtual size_t size() const = 0;
    /// On the host, from any thread; what is elsewhere is waited for and copied the first time.
    [[nodiscard]] virtual std::span<const float> values() const = 0;
  };

  LogitPlane() = default;                 ///< Without numbers.
  LogitPlane(std::vector<float> values);  // NOLINT(google-explicit-constructor): the same numbers
  explicit LogitPlane(std::shared_ptr<const Store> store) : store_(std::move(store)) {}

  [[nodiscard]] bool empty() const { return !store_; }
  [[nodiscard]] size_t size() const { return store_ ? store_->size() : 0; }
  [[nodiscard]] std::span<const float> values() const {
    return store_ ? store_->values() : std::span<const float>{};
  }
  /// Null without numbers.
  [[nodiscard]] const Store* store() const { return store_.get(); }

 private:
  std::shared_ptr<const Store> store_;
};

}  // namespace sam3trt
