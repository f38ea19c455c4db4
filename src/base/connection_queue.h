#pragma once
// Where the thread that accepts connections leaves those of processes, and the thread that works on
// a process waits for its one.

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/strong.h"

namespace cairn {

class ConnectionQueue {
 public:
  // A later connection of the same process takes the place of an earlier one, which is closed.
  void deliver(RealPid pid, Fd connection) {
    const std::lock_guard lock(mutex_);
    waiting_[pid] = std::move(connection);
    arrived_.notify_all();
  }

  [[nodiscard]] Result<Fd> wait_for(RealPid pid, const Deadline& deadline) {
    std::unique_lock lock(mutex_);
    const bool came = arrived_.wait_until(lock, deadline.at(),
                                          [&] { return waiting_.contains(pid) || gone_.contains(pid); });
    const auto found = waiting_.find(pid);
    if (found != waiting_.end()) {
      Fd connection = std::move(found->second);
      waiting_.erase(found);
      return connection;
    }
    const std::string process = "process " + std::to_string(pid.value);
    if (came) return failure(ESRCH, "wait for the connection of", process);
    return failure(ETIMEDOUT, "wait for the connection of", process);
  }

  // The process has ended: nobody need wait for it any longer, and its connection is of no use.
  void gone(RealPid pid) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(pid);
    gone_.insert(pid);
    arrived_.notify_all();
  }

  // Drops what came too late, before a new round is begun.
  void forget(RealPid pid) {
    const std::lock_guard lock(mutex_);
    waiting_.erase(pid);
    gone_.erase(pid);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<RealPid, Fd> waiting_;
  std::set<RealPid> gone_;
};

}  // namespace cairn
