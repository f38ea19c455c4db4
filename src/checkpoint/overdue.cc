#include "checkpoint/overdue.h"

#include <utility>

namespace cairn::checkpoint {

Overdue::Overdue(const Deadline& deadline, std::function<void()> act)
    : act_(std::move(act)), thread_([this, deadline] { wait(deadline); }) {}

void Overdue::wait(const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  const bool in_time = changed_.wait_until(lock, deadline.at(), [this] { return called_off_; });
  lock.unlock();
  if (!in_time) act_();
}

void Overdue::call_off() {
  {
    const std::lock_guard lock(mutex_);
    called_off_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace cairn::checkpoint
