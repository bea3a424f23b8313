#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// One dimension of a tensor in a graph: a number, or `factor * symbol + offset` with a symbol that
/// is bound at run time ("B" images, "9*B" windows, "K + 1" tokens).
class Dim {
 public:
  Dim(int64_t value) : offset_(value) {}  // NOLINT(google-explicit-constructor): reads as a number
  Dim(const char* symbol) : factor_(1), symbol_(symbol) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool is_static() const { return symbol_.empty(); }

  /// The number; throws Error(kInternal) for a symbolic dimension.
  [[nodiscard]] int64_t value() const;

  /// "72", "B", "9*B", "K + 1".
  [[nodiscard]] std::string to_string() const;

  /// This dimension times a positive number, and divided by one that divides it.
  [[nodiscard]] Dim times(int64_t factor) const;
  [[nodiscard]] Dim divided_by(int64_t divisor) const;

  /// The sum; that of two symbols is a symbol of its own, "(5184*F + 4*W)".
  [[nodiscard]] Dim plus(const Dim& other) const;

  [[nodiscard]] bool operator==(const Dim& other) const = default;

 private:
  int64_t factor_ = 0;
  std::string symbol_;
  int64_t offset_ = 0;
};

using SymbolicShape = std::vector<Dim>;

/// "[B, 3, 1008, 1008]".
[[nodiscard]] std::string to_string(const SymbolicShape& shape);

/// Result shape of an elementwise operation under numpy's broadcasting rules; `where` names the
/// node in the Error(kInternal) that incompatible shapes cause.
[[nodiscard]] SymbolicShape broadcast(const SymbolicShape& a, const SymbolicShape& b,
                                      const std::string& where);

}  // namespace sam3trt
