#include "runtime/logit_plane.hpp"

namespace sam3trt {
namespace {

class HostStore : public LogitPlane::Store {
 public:
  explicit HostStore(std::vector<float> values) : values_(std::move(values)) {}

  [[nodiscard]] size_t size() const override { return values_.size(); }
  [[nodiscard]] std::span<const float> values() const override { return values_; }

 private:
  std::vector<float> values_;
};

}  // namespace

LogitPlane::LogitPlane(std::vector<float> values) {
  if (!values.empty()) store_ = std::make_shared<const HostStore>(std::move(values));
}

}  // namespace sam3trt
