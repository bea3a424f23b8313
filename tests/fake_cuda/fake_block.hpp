#pragma once

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "base/half.hpp"

namespace sam3trt {

/// The threads of one block on one thread of a CPU, in turns: each runs until it waits for others.
class FakeBlock {
 public:
  static constexpr int kLanes = 32;

  FakeBlock(int threads, std::array<unsigned, 3> index)
      : index_(index), warps_(static_cast<size_t>(threads / kLanes)) {
    for (int i = 0; i < threads; ++i) fibers_.push_back(std::make_unique<Fiber>());
  }

  [[nodiscard]] const std::array<unsigned, 3>& index() const { return index_; }
  [[nodiscard]] int current() const { return current_; }

  /// Runs `body(thread)` for all threads.
  void run(const std::function<void(int)>& body) {
    body_ = &body;
    for (auto& fiber : fibers_) {
      getcontext(&fiber->context);
      fiber->context.uc_stack.ss_sp = fiber->stack.data();
      fiber->context.uc_stack.ss_size = fiber->stack.size();
      fiber->context.uc_link = &scheduler_;
      const auto self = reinterpret_cast<uintptr_t>(this);
      makecontext(&fiber->context, reinterpret_cast<void (*)()>(&FakeBlock::enter), 2,
                  static_cast<unsigned>(self >> 32U), static_cast<unsigned>(self));
    }
    size_t done = 0;
    while (done < fibers_.size()) {
      done = 0;
      for (size_t i = 0; i < fibers_.size(); ++i) {
        if (fibers_[i]->done) {
          ++done;
          continue;
        }
        current_ = static_cast<int>(i);
        swapcontext(&scheduler_, &fibers_[i]->context);
      }
    }
  }

  void sync() { wait(block_, static_cast<int>(fibers_.size())); }
  void sync_warp() { wait(warps_[static_cast<size_t>(current_ / kLanes)].barrier, kLanes); }

  /// What the lanes of the caller's warp gave to this call of it, all at once.
  template <typename T>
  std::array<T, kLanes> share(const T& own) {
    static_assert(sizeof(T) <= sizeof(Slot));
    Warp& warp = warps_[static_cast<size_t>(current_ / kLanes)];
    std::memcpy(warp.slots[static_cast<size_t>(current_ % kLanes)].data(), &own, sizeof(T));
    wait(warp.barrier, kLanes);
    std::array<T, kLanes> all{};
    for (size_t i = 0; i < kLanes; ++i) std::memcpy(&all[i], warp.slots[i].data(), sizeof(T));
    wait(warp.barrier, kLanes);
    return all;
  }

 private:
  struct Fiber {
    ucontext_t context{};
    std::array<char, size_t{128} << 10U> stack{};
    bool done = false;
  };
  struct Barrier {
    int arrived = 0;
    unsigned round = 0;
  };
  using Slot = std::array<std::byte, 64>;
  struct Warp {
    Barrier barrier;
    std::array<Slot, kLanes> slots{};
  };

  static void enter(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<FakeBlock*>((static_cast<uintptr_t>(high) << 32U) | low);
    const auto own = static_cast<size_t>(self->current_);
    (*self->body_)(self->current_);
    self->fibers_[own]->done = true;
  }

  void wait(Barrier& barrier, int count) {
    const unsigned round = barrier.round;
    if (++barrier.arrived == count) {
      barrier.arrived = 0;
      ++barrier.round;
      return;
    }
    const auto own = static_cast<size_t>(current_);
    while (barrier.round == round) swapcontext(&fibers_[own]->context, &scheduler_);
  }

  std::array<unsigned, 3> index_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Warp> warps_;
  Barrier block_;
  ucontext_t scheduler_{};
  const std::function<void(int)>* body_ = nullptr;
  int current_ = 0;
};

struct FakePair {
  float x = 0;
  float y = 0;
};

/// 16-bit floats in pairs, as a warp's registers hold them.
struct FakeFloat16 {
  static float to_float(uint16_t bits) { return f16_to_f32(bits); }
  static uint16_t from_float(float value) { return f32_to_f16(value); }
};
struct FakeBFloat16 {
  static float to_float(uint16_t bits) { return bf16_to_f32(bits); }
  static uint16_t from_float(float value) { return f32_to_bf16(value); }
};

/// A thread's way to its warp and block (src/cuda/kernels/warp.cuh) on a FakeBlock.
template <typename Type>
class FakeWarp {
 public:
  explicit FakeWarp(FakeBlock& block) : block_(block), thread_(block.current()) {}

  [[nodiscard]] int thread() const { return thread_; }
  [[nodiscard]] int block_x() const { return static_cast<int>(block_.index()[0]); }
  [[nodiscard]] int block_y() const { return static_cast<int>(block_.index()[1]); }
  [[nodiscard]] int block_z() const { return static_cast<int>(block_.index()[2]); }

  static float max(float a, float b) { return std::max(a, b); }
  static float multiply_add(float a, float b, float c) { return std::fma(a, b, c); }
  static float exp2(float x) { return std::exp2(x); }

  static FakePair unpack(uint32_t pair) {
    return {Type::to_float(static_cast<uint16_t>(pair)),
            Type::to_float(static_cast<uint16_t>(pair >> 16U))};
  }
  static uint32_t pack(float low, float high) {
    return Type::from_float(low) | static_cast<uint32_t>(Type::from_float(high)) << 16U;
  }

  void sync_block() { block_.sync(); }
  void sync_warp() { block_.sync_warp(); }

  float exchange(float value, int bit) {
    return block_.share(value)[static_cast<size_t>((thread_ % 32) ^ bit)];
  }

  void copy_chunk(uint16_t* to, const uint16_t* from, bool valid) {
    copies_.push_back({to, valid ? from : nullptr});
  }
  void commit_copies() {
    groups_.push_back(std::move(copies_));
    copies_.clear();
  }
  /// Copies happen as late as they may.
  template <int kLater>
  void wait_copies() {
    while (groups_.size() > kLater) {
      for (const Copy& copy : groups_.front()) {
        if (copy.from == nullptr) {
          std::memset(copy.to, 0, 16);
        } else {
          std::memcpy(copy.to, copy.from, 16);
        }
      }
      groups_.erase(groups_.begin());
    }
  }

  void load_matrices(uint32_t (&r)[4], const uint16_t* row) {
    const auto rows = block_.share(row);
    const auto lane = static_cast<size_t>(thread_ % 32);
    for (size_t matrix = 0; matrix < 4; ++matrix) {
      std::memcpy(&r[matrix], rows[matrix * 8 + lane / 4] + lane % 4 * 2, sizeof(uint32_t));
    }
  }
  void load_transposed(uint32_t (&r)[4], const uint16_t* row) {
    const auto rows = block_.share(row);
    const auto lane = static_cast<size_t>(thread_ % 32);
    for (size_t matrix = 0; matrix < 4; ++matrix) {
      const uint16_t low = rows[matrix * 8 + lane % 4 * 2][lane / 4];
      const uint16_t high = rows[matrix * 8 + lane % 4 * 2 + 1][lane / 4];
      r[matrix] = low | static_cast<uint32_t>(high) << 16U;
    }
  }

  /// c += A B of 16x16 and 16x8 (PTX ISA, "Matrix Fragments for mma.m16n8k16").
  void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    const auto all = block_.share(Factors{{a[0], a[1], a[2], a[3]}, {b0, b1}});
    const auto lane = static_cast<size_t>(thread_ % 32);
    for (size_t i = 0; i < 4; ++i) {
      const size_t row = lane / 4 + i / 2 * 8;
      const size_t column = lane % 4 * 2 + i % 2;
      double sum = static_cast<double>(c[i]);
      for (size_t k = 0; k < 16; ++k) {
        const Factors& left = all[row % 8 * 4 + k % 8 / 2];
        const Factors& right = all[column * 4 + k % 8 / 2];
        const float x = half_of(left.a[row / 8 + k / 8 * 2], k % 2);
        const float y = half_of(right.b[k / 8], k % 2);
        sum += static_cast<double>(x) * static_cast<double>(y);
      }
      c[i] = static_cast<float>(sum);
    }
  }

 private:
  struct Copy {
    uint16_t* to;
    const uint16_t* from;
  };
  struct Factors {
    std::array<uint32_t, 4> a;
    std::array<uint32_t, 2> b;
  };

  static float half_of(uint32_t pair, size_t which) {
    return Type::to_float(static_cast<uint16_t>(pair >> (16U * which)));
  }

  FakeBlock& block_;
  int thread_;
  std::vector<Copy> copies_;
  std::vector<std::vector<Copy>> groups_;
};

}  // namespace sam3trt
