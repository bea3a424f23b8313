#pragma once

#include <cstdint>
#include <limits>

#include "base/host_device.hpp"

namespace sam3trt {

/// Up to this the sum of a lane's exponentials may go before their top has to be raised: well
/// within float16.
inline constexpr float kLargestShare = 16384;

/// By so much scores may lie above a top before it is raised where that is put off: exponentials
/// are at most 245.
inline constexpr float kTopSlack = 5.5F;

/// Of a key that is not there.
inline constexpr float kNoScore = -std::numeric_limits<float>::infinity();

/// The softmax of queries whose keys come tile by tile, without the division by the sum
/// (FlashAttention-2: Dao 2023, algorithm 1). A lane of a warp holds its part of scores as
/// mma.m16n8k16 has them: of each row tile two queries (r), which three other lanes share.
/// Exponentials are relative to a top, which is the largest score at some time.
template <int kRowTiles, int kKeyTiles, typename Warp>
class RunningSoftmax {
 public:
  using Scores = float[kRowTiles][kKeyTiles][4];

  SAM3TRT_DEVICE void start() {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) {
        top_[m][r] = kNoScore;
        sum_[m][r] = 0;
      }
    }
  }

  /// Scores become exp(score - largest so far), or, with kPutsOff, exp(score - top) with a top that
  /// is raised only where it has to be, which raised() tells.
  template <bool kPutsOff = false>
  SAM3TRT_DEVICE void soften(Scores& scores, Warp& warp) {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) {
        float top = top_[m][r];
        for (int n = 0; n < kKeyTiles; ++n) {
          top = Warp::max(top, Warp::max(scores[m][n][2 * r], scores[m][n][2 * r + 1]));
        }
        top = Warp::max(top, warp.exchange(top, 1));
        top = Warp::max(top, warp.exchange(top, 2));
        if (kPutsOff && top <= top_[m][r] + kTopSlack) top = top_[m][r];
        const float base = top * kLog2E;
        scale_[m][r] = Warp::exp2(Warp::multiply_add(top_[m][r], kLog2E, -base));
        top_[m][r] = top;
        float sum = 0;
        for (int n = 0; n < kKeyTiles; ++n) {
          for (int i = 2 * r; i < 2 * r + 2; ++i) {
            scores[m][n][i] = Warp::exp2(Warp::multiply_add(scores[m][n][i], kLog2E, -base));
            sum += scores[m][n][i];
          }
        }
        sum_[m][r] = Warp::multiply_add(sum_[m][r], scale_[m][r], sum);
      }
    }
  }

  /// Scores become exp(score - top), with the top as it is; keep() counts them. False where this
  /// lane's are too large for that: then all lanes have to soften() the scores instead.
  SAM3TRT_DEVICE bool soften_below(Scores& scores) {
    bool fits = true;
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) {
        const float base = top_[m][r] * kLog2E;
        float sum = 0;
        for (int n = 0; n < kKeyTiles; ++n) {
          for (int i = 2 * r; i < 2 * r + 2; ++i) {
            scores[m][n][i] = Warp::exp2(Warp::multiply_add(scores[m][n][i], kLog2E, -base));
            sum += scores[m][n][i];
          }
        }
        share_[m][r] = sum;
        fits = fits && sum <= kLargestShare;
      }
    }
    return fits;
  }

  SAM3TRT_DEVICE void keep() {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) sum_[m][r] += share_[m][r];
    }
  }

  /// Whether the last soften() raised the top of a query of this warp.
  [[nodiscard]] SAM3TRT_DEVICE bool raised(Warp& warp) const {
    bool own = false;
    for (int m = 0; m < kRowTiles; ++m) own = own || scale_[m][0] != 1 || scale_[m][1] != 1;
    return warp.any(own);
  }

  /// What products so far have to be multiplied by after the last soften().
  [[nodiscard]] SAM3TRT_DEVICE float scale(int m, int r) const { return scale_[m][r]; }

  /// Of this lane's keys so far.
  [[nodiscard]] SAM3TRT_DEVICE float sum(int m, int r) const { return sum_[m][r]; }

  /// What exponentials are relative to.
  [[nodiscard]] SAM3TRT_DEVICE float top(int m, int r) const { return top_[m][r]; }

  /// The sum of a query over the keys of all lanes that share it.
  [[nodiscard]] SAM3TRT_DEVICE float total(int m, int r, Warp& warp) const {
    float sum = sum_[m][r];
    sum += warp.exchange(sum, 1);
    sum += warp.exchange(sum, 2);
    return sum;
  }

  /// What a share of the keys whose top is `share` counts beside others with `top`.
  [[nodiscard]] static SAM3TRT_DEVICE float part(float share, float top) {
    return Warp::exp2((share - top) * kLog2E);
  }

  /// Two neighbouring fragments of scores are the left factor of a product over 16 keys.
  static SAM3TRT_DEVICE void pack(const Scores& scores, int m, int k, uint32_t (&a)[4]) {
    for (int i = 0; i < 4; ++i) {
      const float* from = scores[m][2 * k + i / 2] + i % 2 * 2;
      a[i] = Warp::pack(from[0], from[1]);
    }
  }

 private:
  static constexpr float kLog2E = 1.4426950408889634F;

  float top_[kRowTiles][2];
  float sum_[kRowTiles][2];  // of this lane's keys
  float scale_[kRowTiles][2];
  float share_[kRowTiles][2];  // of the last tile, of this lane's keys
};

}  // namespace sam3trt
