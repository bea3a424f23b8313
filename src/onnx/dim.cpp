#include "onnx/dim.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {

int64_t Dim::value() const {
  if (!is_static()) throw Error(ErrorCode::kInternal, "dimension " + to_string() + " is symbolic");
  return offset_;
}

std::string Dim::to_string() const {
  if (is_static()) return std::to_string(offset_);
  std::string text = factor_ == 1 ? symbol_ : std::to_string(factor_) + "*" + symbol_;
  if (offset_ != 0) text += " + " + std::to_string(offset_);
  return text;
}

Dim Dim::times(int64_t factor) const {
  Dim result = *this;
  result.factor_ *= factor;
  result.offset_ *= factor;
  return result;
}

Dim Dim::divided_by(int64_t divisor) const {
  if (divisor <= 0 || factor_ % divisor != 0 || offset_ % divisor != 0) {
    throw Error(ErrorCode::kInternal,
                "dimension " + to_string() + " is not divisible by " + std::to_string(divisor));
  }
  Dim result = *this;
  result.factor_ /= divisor;
  result.offset_ /= divisor;
  return result;
}

Dim Dim::plus(const Dim& other) const {
  if (!is_static() && !other.is_static()) {
    Dim sum(int64_t{0});
    sum.factor_ = 1;
    sum.symbol_ = "(" + to_string() + " + " + other.to_string() + ")";
    return sum;
  }
  Dim result = is_static() ? other : *this;
  result.offset_ += is_static() ? offset_ : other.offset_;
  return result;
}

std::string to_string(const SymbolicShape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i].to_string();
  }
  return text + "]";
}

SymbolicShape broadcast(const SymbolicShape& a, const SymbolicShape& b, const std::string& where) {
  SymbolicShape result;
  const size_t rank = std::max(a.size(), b.size());
  for (size_t i = 0; i < rank; ++i) {
    const Dim one(1);
    const Dim& left = i + a.size() < rank ? one : a[i + a.size() - rank];
    const Dim& right = i + b.size() < rank ? one : b[i + b.size() - rank];
    if (left != right && left != one && right != one) {
      throw Error(ErrorCode::kInternal, where + ": shapes " + to_string(a) + " and " +
                                            to_string(b) + " do not broadcast");
    }
    result.push_back(left == one ? right : left);
  }
  return result;
}

}  // namespace sam3trt
