#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "runtime/kept_tensor.hpp"
#include "runtime/logit_plane.hpp"

namespace sam3trt {

static_assert(std::endian::native == std::endian::little, "states are saved as they lie in memory");

template <typename T>
concept PlainNumber = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;

/// Appends values to bytes. Reader reads what it wrote by the same calls, so that one function per
/// structure does for both.
class SessionWriter {
 public:
  /// Of the layout.
  uint32_t version = 1;

  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

  template <PlainNumber T>
  void operator()(const T& value) {
    raw(&value, sizeof(T));
  }
  void operator()(const bool& value) { (*this)(static_cast<uint8_t>(value ? 1 : 0)); }

  template <PlainNumber T>
  void numbers(const std::vector<T>& values) {
    (*this)(static_cast<uint64_t>(values.size()));
    raw(values.data(), values.size() * sizeof(T));
  }

  void operator()(const std::string& text) {
    (*this)(static_cast<uint64_t>(text.size()));
    raw(text.data(), text.size());
  }

  template <typename T, typename Each>
  void list(std::vector<T>& items, size_t /*least*/, const Each& each) {
    (*this)(static_cast<uint64_t>(items.size()));
    for (T& item : items) each(item);
  }

  template <typename T, typename Each>
  void optional(std::optional<T>& item, const Each& each) {
    (*this)(item.has_value());
    if (item) each(*item);
  }

  template <typename T>
  void optional(std::optional<T>& item) {
    optional(item, [&](T& value) { (*this)(value); });
  }

  template <typename T>
  void shared(std::shared_ptr<const std::vector<T>>& values) {
    (*this)(values != nullptr);
    if (values) numbers(*values);
  }

  void kept(std::shared_ptr<const KeptTensor>& tensor) {
    (*this)(tensor != nullptr);
    if (tensor) numbers(tensor->bf16());
  }

  void plane(const LogitPlane& plane) {
    (*this)(!plane.empty());
    if (!plane.empty()) numbers(std::vector<float>(plane.values().begin(), plane.values().end()));
  }

 private:
  void raw(const void* data, size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
  }

  std::vector<std::byte> bytes_;
};

/// Reads values from bytes that may say anything; throws Error(kBadInput), beginning with `where`,
/// at their end and for sizes beyond it, before it takes memory.
class SessionReader {
 public:
  /// Of the layout.
  uint32_t version = 1;

  SessionReader(std::span<const std::byte> bytes, std::string where)
      : bytes_(bytes), where_(std::move(where)) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  [[noreturn]] void refuse(const std::string& why) const {
    throw_bad_input(where_ + ": " + why + "; save the session again");
  }

  template <PlainNumber T>
  void operator()(T& value) {
    raw(&value, sizeof(T));
  }

  void operator()(bool& value) {
    uint8_t byte = 0;
    (*this)(byte);
    if (byte > 1) refuse("a value that is either there or not is " + std::to_string(byte));
    value = byte == 1;
  }

  template <PlainNumber T>
  void numbers(std::vector<T>& values) {
    values.resize(count(sizeof(T)));
    raw(values.data(), values.size() * sizeof(T));
  }

  void operator()(std::string& text) {
    text.resize(count(1));
    raw(text.data(), text.size());
  }

  /// `least`: bytes that an item takes at least.
  template <typename T, typename Each>
  void list(std::vector<T>& items, size_t least, const Each& each) {
    const size_t size = count(least);
    items.clear();
    for (size_t i = 0; i < size; ++i) each(items.emplace_back());
  }

  template <typename T, typename Each>
  void optional(std::optional<T>& item, const Each& each) {
    bool there = false;
    (*this)(there);
    if (there) each(item.emplace());
  }

  template <typename T>
  void optional(std::optional<T>& item) {
    optional(item, [&](T& value) { (*this)(value); });
  }

  template <typename T>
  void shared(std::shared_ptr<const std::vector<T>>& values) {
    bool there = false;
    (*this)(there);
    if (!there) return;
    auto read = std::make_shared<std::vector<T>>();
    numbers(*read);
    values = std::move(read);
  }

  /// In host memory.
  void kept(std::shared_ptr<const KeptTensor>& tensor) {
    bool there = false;
    (*this)(there);
    if (!there) return;
    std::vector<uint16_t> read;
    numbers(read);
    tensor = std::make_shared<const HostKeptTensor>(std::move(read));
  }

  /// In host memory.
  void plane(LogitPlane& plane) {
    bool there = false;
    (*this)(there);
    if (!there) return;
    std::vector<float> read;
    numbers(read);
    if (read.empty()) refuse("a mask without numbers");
    plane = std::move(read);
  }

 private:
  /// A number of items of at least `least` bytes each.
  [[nodiscard]] size_t count(size_t least) {
    uint64_t items = 0;
    (*this)(items);
    if (items > bytes_.size() / least) refuse("it is cut short or damaged");
    return static_cast<size_t>(items);
  }

  void raw(void* data, size_t size) {
    if (size > bytes_.size()) refuse("it is cut short or damaged");
    if (size > 0) std::memcpy(data, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
  }

  std::span<const std::byte> bytes_;
  std::string where_;
};

}  // namespace sam3trt
