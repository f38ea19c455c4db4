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
// A stopped process takes no signal: stopped.h lets it park all the same.
//
// A signal may land where its thread cannot park (then the runtime takes note or forgets it), and
// threads are born and die meanwhile: so what is missing is asked again until the deadline.

#include <cstdint>
#include <utility>
#include <vector>

#include "abi/segment.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/strong.h"
#include "checkpoint/task_list.h"

namespace cairn::checkpoint {

// What freezing needs of the kernel; tests put their own in its place.
class TaskControl {
 public:
  virtual ~TaskControl() = default;
  // All tasks that are not dead. ESRCH: there is no such process.
  virtual Result<std::vector<Task>> tasks(RealPid pid) = 0;
  // ESRCH if the thread is gone, which is no failure.
  virtual Result<> request_park(RealPid pid, pid_t tid, std::uint32_t freeze_word) = 0;

  // --- threads that are stopped (checkpoint/stopped.h); an error: they cannot be had
  // They go to where the guest would go on, and wait there.
  virtual Result<> let_out(RealPid pid) = 0;
  // They park, and those that wait. The freeze word is set.
  virtual Result<> let_park(RealPid pid) = 0;
  // All of these are parked, each with a thread that lives: who is stopped from now on answers still.
  virtual void watch(std::vector<std::pair<RealPid, pid_t>> parked) = 0;
  // What it is stopped by; 0: it is not.
  virtual int stop_signal(RealPid pid) = 0;
  // Whoever was stopped, and is not continued since, is stopped again when it leaves the park.
  virtual void let_stop(RealPid pid) = 0;
  // Whether any thread of it was had so.
  virtual bool had(RealPid pid) = 0;
  // Those that were told to stop have done so, or the time is over.
  virtual void wait_stopped(const Deadline& deadline) = 0;
  // All are let go of; after it the next freeze may begin.
  virtual void end_of_freeze(const Deadline& deadline) = 0;
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
  // To be called before the process is thawed otherwise than by release().
  void let_stop() { control_.let_stop(pid_); }
  // It was when it was asked to park: whoever runs may see that, and parks first.
  [[nodiscard]] bool found_stopped() const { return found_stopped_; }
  [[nodiscard]] bool had_stopped() const { return control_.had(pid_); }
  // What it is stopped by; 0: it is not.
  [[nodiscard]] int stop_signal() const { return control_.stop_signal(pid_); }
  // The process has ended: its slot may be another one's by now, which is frozen by the same word.
  void forget() { released_ = true; }
  // Nothing is parked any more: the next freeze may begin.
  Result<> wait_unparked(const Deadline& deadline);

  [[nodiscard]] RealPid pid() const { return pid_; }
  [[nodiscard]] const abi::ProcessSlot& slot() const { return slot_; }
  [[nodiscard]] std::uint32_t threads() const { return static_cast<std::uint32_t>(tids_.size()); }
  [[nodiscard]] const std::vector<pid_t>& threads_by_id() const { return tids_; }
  // The thread that is to connect, after wait_parked().
  [[nodiscard]] pid_t server() const;
  [[nodiscard]] std::uint32_t word() const { return word_; }

 private:
  Result<> let_stopped_park(const std::vector<Task>& tasks);
  Result<> signal(const std::vector<Task>& tasks);
  Failure timed_out(const std::vector<Task>& tasks) const;

  abi::ProcessSlot& slot_;
  TaskControl& control_;
  const RealPid pid_;
  const std::uint32_t word_;
  std::vector<pid_t> tids_;
  bool released_ = true;
  bool found_stopped_ = false;
};

// The next freeze's word: odd, and larger than any before it in this job.
[[nodiscard]] std::uint32_t next_freeze_word(std::uint32_t previous);

}  // namespace cairn::checkpoint
