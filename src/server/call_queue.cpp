#include "server/call_queue.hpp"

#include <algorithm>

namespace sam3trt {
namespace {

using Clock = std::chrono::steady_clock;

/// How often it is looked whether a client that waits is still there.
constexpr std::chrono::milliseconds kLookForClient{200};

/// Calls that go through the model together: the first has its result when the last one has.
constexpr size_t kMaxCalls = 16;

std::exception_ptr refusal(const char* code, const char* message) {
  return std::make_exception_ptr(HttpError(503, code, message, {}, 1));
}

}  // namespace

void CallQueue::run(std::span<Call> calls, const std::function<bool()>& gone) {
  const Clock::time_point deadline = Clock::now() + limits_.timeout;
  std::condition_variable changed;
  const auto any = [&](Call::State state) {
    return std::ranges::any_of(calls, [&](const Call& call) { return call.state_ == state; });
  };
  std::unique_lock lock(mutex_);
  for (Call& call : calls) {
    call.changed_ = &changed;
    waiting_.push_back(&call);
  }
  if (stopped_) refuse_waiting(calls, refusal("stopping", "the server stops"));
  if (waiting_.size() > std::max(limits_.queue, calls.size())) {
    refuse_waiting(calls, refusal("queue_full", "too many requests wait already"));
  }
  work_.notify_all();
  while (any(Call::State::kWaiting) || any(Call::State::kRunning)) {
    const Clock::time_point next = Clock::now() + kLookForClient;
    changed.wait_until(lock, any(Call::State::kWaiting) ? std::min(next, deadline) : next);
    if (!any(Call::State::kWaiting)) continue;
    if (stopped_) refuse_waiting(calls, refusal("stopping", "the server stops"));
    const Clock::time_point now = Clock::now();
    if (now >= deadline) {
      refuse_waiting(calls, refusal("timeout", "the model had no time for the request"));
    }
    if (now < next || !gone) continue;
    lock.unlock();
    const bool left = gone();
    lock.lock();
    if (left) {
      refuse_waiting(calls,
                     std::make_exception_ptr(HttpError(499, "client_left", "the client has left")));
    }
  }
}

void CallQueue::refuse_waiting(std::span<Call> calls, const std::exception_ptr& error) {
  for (Call& call : calls) {
    if (call.state_ != Call::State::kWaiting) continue;
    waiting_.remove(&call);
    call.state_ = Call::State::kDone;
    call.error = error;
  }
}

/// The calls that take() would give now; `may_grow`: more could go with them.
std::vector<Call*> CallQueue::choose(size_t device, bool& may_grow) const {
  std::vector<Call*> chosen;
  std::set<std::string> digests;
  std::shared_ptr<const Features> features;
  may_grow = false;
  for (Call* call : waiting_) {
    if (chosen.size() == std::max(kMaxCalls, batch_)) break;
    const std::string& digest = call->image.digest;
    if (busy_.contains(digest)) continue;
    const auto kept = cache_.peek(digest);
    if (kept && kept->device != device) continue;
    if (chosen.empty()) {
      if (kept) features = kept->features;
    } else if (kept ? kept->features != features : features != nullptr) {
      continue;
    }
    if (!kept && !digests.contains(digest) && digests.size() == batch_) continue;
    digests.insert(digest);
    chosen.push_back(call);
  }
  may_grow = !chosen.empty() && features == nullptr && digests.size() < batch_ &&
             (digests.size() > 1 || announced_ > 0);
  return chosen;
}

std::vector<Call*> CallQueue::take(size_t device) {
  std::unique_lock lock(mutex_);
  constexpr auto kNotYet = Clock::time_point::max();
  Clock::time_point until = kNotYet;  // that others are waited for
  while (!stopped_) {
    bool may_grow = false;
    std::vector<Call*> chosen = choose(device, may_grow);
    if (chosen.empty()) {
      until = kNotYet;
      work_.wait(lock);
      continue;
    }
    if (may_grow && until == kNotYet) until = Clock::now() + limits_.batch_wait;
    if (may_grow && Clock::now() < until) {
      work_.wait_until(lock, until);
      continue;
    }
    for (Call* call : chosen) {
      call->state_ = Call::State::kRunning;
      waiting_.remove(call);
      busy_.insert(call->image.digest);
    }
    return chosen;
  }
  return {};
}

void CallQueue::done(std::span<Call* const> calls) {
  const std::scoped_lock lock(mutex_);
  for (Call* call : calls) {
    busy_.erase(busy_.find(call->image.digest));
    call->state_ = Call::State::kDone;
    call->changed_->notify_all();
  }
  work_.notify_all();
}

void CallQueue::stop() {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
  for (Call* call : waiting_) call->changed_->notify_all();
  work_.notify_all();
}

size_t CallQueue::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

bool CallQueue::is_stopped() const {
  const std::scoped_lock lock(mutex_);
  return stopped_;
}

CallQueue::Announcement::Announcement(CallQueue& queue) : queue_(queue) {
  const std::scoped_lock lock(queue_.mutex_);
  ++queue_.announced_;
}

CallQueue::Announcement::~Announcement() {
  const std::scoped_lock lock(queue_.mutex_);
  --queue_.announced_;
  queue_.work_.notify_all();
}

}  // namespace sam3trt
