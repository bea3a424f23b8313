#pragma once

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

#include "base/e4m3.hpp"
#include "base/half.hpp"
#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// The threads of one block on one thread of a CPU, in turns: each runs until it waits for others.
class FakeBlock {
 public:
  static constexpr int kLanes = 32;

  FakeBlock(int threads, std::array<unsigned, 3> index)
      : index_(index),
        warps_(static_cast<size_t>(threads / kLanes)),
        groups_(static_cast<size_t>((threads + 127) / 128)) {
    for (int i = 0; i < threads; ++i) fibers_.push_back(std::make_unique<Fiber>());
  }

  [[nodiscard]] const std::array<unsigned, 3>& index() const { return index_; }
  [[nodiscard]] int current() const { return current_; }

  /// Runs `body(thread)` for all threads. Throws std::logic_error where they wait for one another.
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
      const int steps_before = steps_;
      for (size_t i = 0; i < fibers_.size(); ++i) {
        if (fibers_[i]->done) {
          ++done;
          continue;
        }
        current_ = static_cast<int>(i);
        swapcontext(&scheduler_, &fibers_[i]->context);
      }
      const bool idle = steps_ == steps_before;
      if (idle && idle_ && done < fibers_.size()) {
        throw std::logic_error("the threads of a block wait for one another");
      }
      idle_ = idle;
    }
  }

  void sync() { wait(block_, static_cast<int>(fibers_.size())); }
  /// Of the caller's 128 threads.
  void sync_group() { wait(groups_[static_cast<size_t>(current_ / 128)].barrier, 128); }
  bool any_in_group(bool value) {
    Group& group = groups_[static_cast<size_t>(current_ / 128)];
    group.any = group.any || value;
    wait(group.barrier, 128);
    const bool any = group.any;
    wait(group.barrier, 128);
    group.any = false;
    wait(group.barrier, 128);
    return any;
  }
  void sync_warp() { wait(warps_[static_cast<size_t>(current_ / kLanes)].barrier, kLanes); }

  /// Until no other thread can go on.
  void let_others_go_on() {
    do {
      give_turn();
    } while (!idle_);
    ++steps_;
  }

  /// A barrier in the memory that the block shares (PTX ISA, "mbarrier").
  void init_barrier(const void* address, int arrivals) {
    barriers_[address] = {arrivals, arrivals, 0};
  }
  /// Whom the barrier held up goes on before the caller does.
  void arrive(const void* address) {
    MemoryBarrier& barrier = barriers_[address];
    ++steps_;
    if (--barrier.missing == 0) {
      barrier.missing = barrier.arrivals;
      ++barrier.phase;
    }
    give_turn();
  }
  /// Waits until the barrier's phase of this parity is complete.
  void wait_phase(const void* address, int parity) {
    const MemoryBarrier& barrier = barriers_[address];
    while (barrier.phase % 2 == parity) give_turn();
    ++steps_;
  }

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
  struct Group {
    Barrier barrier;
    bool any = false;
  };
  struct MemoryBarrier {
    int arrivals = 0;
    int missing = 0;
    int phase = 0;
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
    ++self->steps_;
  }

  void wait(Barrier& barrier, int count) {
    const unsigned round = barrier.round;
    ++steps_;
    if (++barrier.arrived == count) {
      barrier.arrived = 0;
      ++barrier.round;
      return;
    }
    while (barrier.round == round) give_turn();
    ++steps_;
  }

  /// Lets the other threads run.
  void give_turn() {
    const auto own = static_cast<size_t>(current_);
    swapcontext(&fibers_[own]->context, &scheduler_);
  }

  std::array<unsigned, 3> index_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Warp> warps_;
  std::vector<Group> groups_;
  Barrier block_;
  std::map<const void*, MemoryBarrier> barriers_;
  ucontext_t scheduler_{};
  const std::function<void(int)>* body_ = nullptr;
  int current_ = 0;
  int steps_ = 0;      // arrivals, ends of waiting and of threads
  bool idle_ = false;  // no step was made when all threads had their turn last
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

  static uint32_t pack_e4m3(float low, float high) {
    return f32_to_e4m3(low) | static_cast<uint32_t>(f32_to_e4m3(high)) << 8U;
  }

  void sync_block() { block_.sync(); }
  void sync_warp() { block_.sync_warp(); }

  int same_in_warp(int value) { return block_.share(value)[0]; }
  bool any(bool value) { return std::ranges::count(block_.share(int{value}), 1) > 0; }

  float exchange(float value, int bit) {
    return block_.share(value)[static_cast<size_t>((thread_ % 32) ^ bit)];
  }

  /// What was there is lost at once.
  void copy_chunk(uint16_t* to, const uint16_t* from, bool valid) {
    std::memset(to, 0xFF, 16);  // NaN
    copies_.push_back({to, valid ? from : nullptr});
  }
  void commit_copies() {
    groups_.push_back(std::move(copies_));
    copies_.clear();
  }
  /// Copies happen as late as they may.
  template <int kLater>
  void wait_copies() {
    if (groups_.size() > kLater) block_.let_others_go_on();
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

  FakeBlock& block_;
  int thread_;

 protected:
  template <int kDim>
  static float element(const uint16_t* tile, size_t row, size_t column) {
    const auto chunk = static_cast<int>(column / 8);
    const int place = AttentionTile<kDim>::place(static_cast<int>(row), chunk);
    return Type::to_float(tile[static_cast<size_t>(place) + column % 8]);
  }
  static float half_of(uint32_t pair, size_t which) {
    return Type::to_float(static_cast<uint16_t>(pair >> (16U * which)));
  }
  FakeBlock& block() { return block_; }

 private:
  std::vector<Copy> copies_;
  std::vector<std::vector<Copy>> groups_;
};

/// The same with the products of warpgroups (GpuWarpgroup in warp.cuh). They happen as late as they
/// may, with what registers and shared memory hold then.
template <typename Type>
class FakeWarpgroup : public FakeWarp<Type> {
 public:
  using FakeWarp<Type>::FakeWarp;

  static void fence_shared() {}
  void init_barrier(const uint64_t* barrier, int arrivals) {
    this->block().init_barrier(barrier, arrivals);
  }
  void arrive(const uint64_t* barrier) { this->block().arrive(barrier); }
  void wait_barrier(const uint64_t* barrier, int parity) {
    this->block().wait_phase(barrier, parity);
  }
  template <int kCount>
  static void give_registers() {}
  template <int kCount>
  static void take_registers() {}
  static void settle(float value, float* unread) { *unread = value; }
  static void fence_products() {}
  template <int kFragments>
  static void hold(float (&/*d*/)[kFragments][4]) {}

  void commit_products() {
    groups_.push_back(std::move(products_));
    products_.clear();
  }
  template <int kLater>
  void wait_products() {
    while (groups_.size() > kLater) {
      for (const auto& product : groups_.front()) product();
      groups_.erase(groups_.begin());
    }
  }

  void sync_group() { this->block().sync_group(); }
  bool any_in_group(bool value) { return this->block().any_in_group(value); }

  /// As late as it may.
  template <int kElements>
  void copy_bulk(uint16_t* to, const uint16_t* from, const uint64_t* barrier) {
    std::memset(to, 0xFF, kElements * sizeof(uint16_t));  // NaN
    this->block().let_others_go_on();
    std::memcpy(to, from, kElements * sizeof(uint16_t));
    arrive(barrier);
  }

  template <int kDim, int kFragments>
  void multiply_shared(float (&d)[kFragments][4], const uint16_t* a, const uint16_t* b, int k,
                       bool add) {
    const auto first = static_cast<size_t>(16 * k);
    products_.push_back([this, &d, a, b, first, add] {
      for_each_sum(d, !add, [&](size_t row, size_t column, size_t step) {
        return static_cast<double>(this->template element<kDim>(a, row, first + step)) *
               static_cast<double>(this->template element<kDim>(b, column, first + step));
      });
    });
  }

  template <int kDim>
  void multiply_packed(float (&d)[kDim / 8][4], const uint32_t (&a)[4], const uint16_t* b, int k) {
    const auto first = static_cast<size_t>(16 * k);
    products_.push_back([this, &d, &a, b, first] {
      const auto left = this->block().share(std::array<uint32_t, 4>{a[0], a[1], a[2], a[3]});
      for_each_sum(d, false, [&](size_t row, size_t column, size_t step) {
        const uint32_t pair = left[row % 8 * 4 + step % 8 / 2][row % 16 / 8 + step / 8 * 2];
        return static_cast<double>(this->half_of(pair, step % 2)) *
               static_cast<double>(this->template element<kDim>(b, first + step, column));
      });
    });
  }

 private:
  /// Adds product(row of the warpgroup's 64, column, step) over 16 steps to what this lane holds.
  template <size_t kFragments, typename Product>
  void for_each_sum(float (&d)[kFragments][4], bool fresh, const Product& product) {
    const auto thread = static_cast<size_t>(this->thread() % 128);
    for (size_t n = 0; n < kFragments; ++n) {
      for (size_t i = 0; i < 4; ++i) {
        const size_t row = thread / 32 * 16 + i / 2 * 8 + thread % 32 / 4;
        const size_t column = n * 8 + thread % 4 * 2 + i % 2;
        double sum = fresh ? 0 : static_cast<double>(d[n][i]);
        for (size_t step = 0; step < 16; ++step) sum += product(row, column, step);
        d[n][i] = static_cast<float>(sum);
      }
    }
  }

  std::vector<std::function<void()>> products_;
  std::vector<std::vector<std::function<void()>>> groups_;
};

}  // namespace sam3trt
