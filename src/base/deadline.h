#pragma once
// A moment after which nobody waits any longer. Every wait in the agent takes one.

#include <algorithm>
#include <chrono>

namespace cairn {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(std::chrono::milliseconds from_now) : at_(Clock::now() + from_now) {}

  [[nodiscard]] bool passed() const { return Clock::now() >= at_; }

  [[nodiscard]] std::chrono::nanoseconds left() const {
    return std::max(std::chrono::nanoseconds(0),
                    std::chrono::duration_cast<std::chrono::nanoseconds>(at_ - Clock::now()));
  }

  // For poll(2): rounded up, so that a wait never returns before the deadline.
  [[nodiscard]] int poll_timeout() const {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left()).count();
    return static_cast<int>(std::min<long long>(ms, 1'000'000));
  }

  [[nodiscard]] Clock::time_point at() const { return at_; }

 private:
  Clock::time_point at_;
};

}  // namespace cairn
