#pragma once
// Freezing: every thread of a process comes to rest in its runtime, outside of the kernel.
//
//   agent                                   each thread of the process
//   freeze_word := odd number
//   park signal to every thread      ->     front handler: saves its state, parked += 1, waits
//   parked == live threads in two listings of /proc/PID/task, one after the other
//   serve_tid := one of them, wakes  ->     that thread connects to the agent's socket
//   ... requests over the link ...
//   kThaw, freeze_word := 0, wakes   ->     all go on, parked -= 1 each
//
// A signal may land where its thread cannot park (then the runtime takes note or forgets it), and
// threads are born and die meanwhile: so what is missing is asked again until the deadline.

#include <cstdint>
#include <vector>

#include "abi/segment.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/strong.h"

namespace cairn::checkpoint {

struct Task {
  pid_t tid;
  char state;              // as in /proc/PID/task/TID/stat
  bool request_pending;    // a park request waits for it in the kernel
  bool dying = false;      // it was killed, or has given its memory back: it runs no more
};

// What freezing needs of the kernel; tests put their own in its place.
class TaskControl {
 public:
  virtual ~TaskControl() = default;
  // All tasks that are not dead. ESRCH: there is no such process.
  virtual Result<std::vector<Task>> tasks(RealPid pid) = 0;
  // ESRCH if the thread is gone, which is no failure.
  virtual Result<> request_park(RealPid pid, pid_t tid, std::uint32_t freeze_word) = 0;
};

TaskControl& kernel_task_control();

// One process from the request to the thaw. Thaws when it goes away.
class Freeze {
 public:
  Freeze(abi::ProcessSlot& slot, TaskControl& control, std::uint32_t word);
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  ~Freeze() { release(); }

  // Asks once; wait_parked() asks again where needed.
  Result<> request();
  // Every thread is parked. On failure call release().
  Result<> wait_parked(const Deadline& deadline);
  // One parked thread is told to connect.
  void choose_server();
  // ... and told again until it has heard, or the time is over.
  void wait_chosen(const Deadline& deadline);
  // The guest may run; harmless if it does already.
  void release();
  // The process has ended: its slot may be another one's by now, which is frozen by the same word.
  void forget() { released_ = true; }
  // Nothing is parked any more: the next freeze may begin.
  Result<> wait_unparked(const Deadline& deadline);

  [[nodiscard]] RealPid pid() const { return pid_; }
  [[nodiscard]] const abi::ProcessSlot& slot() const { return slot_; }
  [[nodiscard]] std::uint32_t threads() const { return static_cast<std::uint32_t>(tids_.size()); }
  [[nodiscard]] const std::vector<pid_t>& threads_by_id() const { return tids_; }
  [[nodiscard]] std::uint32_t word() const { return word_; }

 private:
  Result<std::vector<Task>> list();
  Result<> signal(const std::vector<Task>& tasks);
  Failure timed_out(const std::vector<Task>& tasks) const;

  abi::ProcessSlot& slot_;
  TaskControl& control_;
  const RealPid pid_;
  const std::uint32_t word_;
  std::vector<pid_t> tids_;
  bool released_ = true;
};

// The next freeze's word: odd, and larger than any before it in this job.
[[nodiscard]] std::uint32_t next_freeze_word(std::uint32_t previous);

}  // namespace cairn::checkpoint
