#include "base/poll_loop.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>

namespace cairn {

PollLoop::PollLoop(PollLoop&& other) noexcept
    : wakeup_(std::move(other.wakeup_)),
      readable_(std::move(other.readable_)),
      timers_(std::move(other.timers_)),
      posted_(std::move(other.posted_)),
      stopped_(other.stopped_) {}

Result<PollLoop> PollLoop::create() {
  Fd wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup.valid()) return os_failure("eventfd");
  return PollLoop(std::move(wakeup));
}

void PollLoop::on_readable(int fd, Action action) { readable_[fd] = std::move(action); }

void PollLoop::forget(int fd) { readable_.erase(fd); }

void PollLoop::every(std::chrono::milliseconds period, Action action) {
  if (period.count() <= 0) return;
  timers_.push_back({period, Clock::now() + period, std::move(action)});
}

void PollLoop::after(std::chrono::milliseconds delay, Action action) {
  timers_.push_back({std::chrono::milliseconds(0), Clock::now() + delay, std::move(action)});
}

void PollLoop::post(Action action) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(action));
  }
  const std::uint64_t one = 1;
  // A full counter wakes the loop as well.
  [[maybe_unused]] const ssize_t n = ::write(wakeup_.get(), &one, sizeof one);
}

void PollLoop::run_posted() {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t n = ::read(wakeup_.get(), &count, sizeof count);
  std::vector<Action> actions;
  {
    const std::lock_guard lock(posted_mutex_);
    actions.swap(posted_);
  }
  for (const Action& action : actions) action();
}

void PollLoop::run_timers() {
  const auto now = Clock::now();
  std::vector<Action> due;
  std::erase_if(timers_, [&](Timer& timer) {
    if (timer.next > now) return false;
    due.push_back(timer.action);
    // Late rounds are left out, not made up for.
    timer.next = now + timer.period;
    return timer.period.count() == 0;
  });
  for (const Action& action : due) action();
}

int PollLoop::timeout() const {
  if (timers_.empty()) return -1;
  const auto next = std::min_element(timers_.begin(), timers_.end(),
                                     [](const Timer& a, const Timer& b) { return a.next < b.next; })
                        ->next;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(ms, 0, 3'600'000));
}

Result<> PollLoop::run() {
  while (!stopped_) {
    std::vector<pollfd> entries{{.fd = wakeup_.get(), .events = POLLIN, .revents = 0}};
    for (const auto& [fd, action] : readable_)
      entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    const int n = ::poll(entries.data(), entries.size(), timeout());
    if (n < 0 && errno != EINTR) return os_failure("poll");
    run_timers();
    if (n <= 0) continue;
    if (entries[0].revents != 0) run_posted();
    for (std::size_t i = 1; i < entries.size() && !stopped_; ++i) {
      if (entries[i].revents == 0) continue;
      // An earlier action of this round may have forgotten it.
      const auto found = readable_.find(entries[i].fd);
      if (found == readable_.end()) continue;
      const Action action = found->second;
      action();
    }
  }
  return {};
}

}  // namespace cairn
