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
  const Clock::time_point begin = Clock::now();
  const Clock::time_point deadline = begin + limits_.timeout;
  std::condition_variable changed;
  const auto any = [&](Call::State state) {
    return std::ranges::any_of(calls, [&](const Call& call) { return call.state_ == state; });
  };
  std::unique_lock lock(mutex_);
  for (Call& call : calls) {
    call.changed_ = &changed;
    call.since_ = begin;
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

/// The calls that take() would give now; `only_kept`: of those whose images' features are kept.
CallQueue::Choice CallQueue::choose(size_t device, bool only_kept) const {
  Choice choice;
  std::set<std::string> digests;
  const Features* features = nullptr;
  for (Call* call : waiting_) {
    if (choice.calls.size() == std::max(kMaxCalls, batch_)) break;
    const std::string& digest = call->image.digest;
    if (busy_.contains(digest)) continue;
    const FeatureCache::Piece kept = cache_.piece_of(digest);
    const bool is_kept = kept.features != nullptr;
    if (is_kept ? kept.device != device : only_kept) continue;
    if (choice.calls.empty()) {
      features = kept.features;
    } else if (kept.features != features) {
      continue;
    }
    if (!is_kept && !digests.contains(digest) && digests.size() == batch_) continue;
    digests.insert(digest);
    choice.calls.push_back(call);
  }
  choice.may_grow = !choice.calls.empty() && features == nullptr && digests.size() < batch_ &&
                    (digests.size() > 1 || announced_ > 0);
  return choice;
}

std::vector<Call*> CallQueue::take(size_t device) {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    Choice choice = choose(device, false);
    if (choice.calls.empty()) {
      work_.wait(lock);
      continue;
    }
    const Clock::time_point until = choice.calls.front()->since_ + limits_.batch_wait;
    if (choice.may_grow && Clock::now() < until) {
      choice = choose(device, true);
      if (choice.calls.empty()) {
        work_.wait_until(lock, until);
        continue;
      }
    }
    for (Call* call : choice.calls) {
      call->state_ = Call::State::kRunning;
      waiting_.remove(call);
      busy_.insert(call->image.digest);
    }
    return std::move(choice.calls);
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
  if (!waiting_.empty()) work_.notify_all();
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
  if (!queue_.waiting_.empty()) queue_.work_.notify_all();
}

}  // namespace sam3trt
