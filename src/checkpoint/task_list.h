#pragma once
// The threads of a process as /proc shows them, and the signal that asks one to park.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/strong.h"

namespace cairn::checkpoint {

struct Task {
  pid_t tid;
  char state;              // as in /proc/PID/task/TID/stat
  bool request_pending;    // a park request waits for it in the kernel
  bool dying = false;      // it was killed, or has given its memory back: it runs no more
};

// Those that are not dead at this moment.
[[nodiscard]] std::vector<Task> live_tasks(RealPid pid);
[[nodiscard]] bool any_in_state(const std::vector<Task>& tasks, char state);
// Nothing if it is dead.
[[nodiscard]] std::optional<Task> task_of(RealPid pid, pid_t tid);
// Also of one that is dead; 0 if it is gone.
[[nodiscard]] char task_state(RealPid pid, pid_t tid);

// ESRCH if the thread is gone; EAGAIN: the user's limit of queued signals.
Result<> request_park(RealPid pid, pid_t tid, std::uint32_t freeze_word);

}  // namespace cairn::checkpoint
