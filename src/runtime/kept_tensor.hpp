#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sam3trt {

/// Bfloat16 numbers that stay in the memory of a backend and never change. They may outlive the
/// backend, which alone can use them.
class KeptTensor {
 public:
  KeptTensor() = default;
  virtual ~KeptTensor() = default;
  KeptTensor(const KeptTensor&) = delete;
  KeptTensor& operator=(const KeptTensor&) = delete;

  /// Of its numbers.
  [[nodiscard]] virtual size_t count() const = 0;
  [[nodiscard]] size_t size_bytes() const { return count() * sizeof(uint16_t); }

  /// A copy on the host, for what is saved; waits.
  [[nodiscard]] virtual std::vector<uint16_t> bf16() const = 0;
};

/// In the memory of the host.
class HostKeptTensor : public KeptTensor {
 public:
  explicit HostKeptTensor(std::vector<uint16_t> values) : values_(std::move(values)) {}

  [[nodiscard]] size_t count() const override { return values_.size(); }
  [[nodiscard]] std::vector<uint16_t> bf16() const override { return values_; }
  [[nodiscard]] const std::vector<uint16_t>& values() const { return values_; }

 private:
  std::vector<uint16_t> values_;
};

}  // namespace sam3trt
