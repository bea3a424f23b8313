#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace sam3trt {

/// How far a worker is, in memory that it shares with the process that watches over it. Images are
/// counted in the order in which they are taken.
struct WorkerProgress {
  uint64_t taken = 0;    ///< Only ever grows; set by the worker, read after its death.
  uint64_t written = 0;  ///< Those before it are done for good.
};

/// What a worker has to do.
struct WorkerPlan {
  uint64_t first = 0;       ///< Images before it are done.
  uint64_t one_by_one = 0;  ///< Up to this one, images are taken only when the one before is done.
  std::map<uint64_t, std::string> failed{};  ///< Images that are not tried again, and why.
  WorkerProgress* progress = nullptr;
};

/// Goes on in a child process, the worker, where it returns nothing: do what `plan` says. In the
/// calling process it returns the worker's exit code once that has ended.
///
/// When the worker dies of a crash, another one goes on: the images that it had taken are tried one
/// by one, and one that a worker died of twice while it had no other is in the next plan's
/// `failed`. Gives up, with Error(kInternal), when a worker dies before it has taken an image, or
/// when ten in a row die without writing one that did not fail.
///
/// Signals that end the program (stop_signals.hpp) reach the worker through the caller, which
/// waits for it; should the caller die, so does the worker. Call it before any thread is started
/// or library loaded that does not live through fork().
[[nodiscard]] std::optional<int> run_worker(WorkerPlan& plan);

/// Calls `check` in a child process that ends with it: what it loads does not touch this process, a
/// GPU above all, which a process that has used it cannot hand to a child. Throws the Error that it
/// throws.
void check_apart(const std::function<void()>& check);

}  // namespace sam3trt
