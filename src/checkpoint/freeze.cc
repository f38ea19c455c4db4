#include "checkpoint/freeze.h"

#include <signal.h>

#include <algorithm>
#include <string>

#include "base/files.h"
#include "base/futex.h"
#include "checkpoint/stopped.h"

namespace cairn::checkpoint {
namespace {

using std::chrono::milliseconds;

// How long a round of requests is left alone before those that did not park are asked again.
constexpr milliseconds kRound{4};

constexpr int kLooks = 1000;  // at the threads of a process that lives and seems to have none

std::string process_name(RealPid pid) { return "process " + std::to_string(pid.value); }

class KernelTaskControl : public TaskControl {
 public:
  // A thread other than the first that execs takes the first one's number (de_thread): a listing in
  // that moment may meet neither, though the process lives.
  Result<std::vector<Task>> tasks(RealPid pid) override {
    for (int look = 0; look < kLooks; ++look) {
      std::vector<Task> tasks = live_tasks(pid);
      if (!tasks.empty()) return tasks;
      if (wait_for_process_end(pid.value, 0, Deadline{milliseconds{1}})) break;
    }
    return failure(ESRCH, "list the threads of", process_name(pid));
  }

  Result<> request_park(RealPid pid, pid_t tid, std::uint32_t freeze_word) override {
    return checkpoint::request_park(pid, tid, freeze_word);
  }

  Result<> let_out(RealPid pid) override { return stopped_.to_gate(pid); }
  Result<> let_park(RealPid pid) override { return stopped_.to_park(pid); }
  void watch(std::vector<std::pair<RealPid, pid_t>> parked) override {
    stopped_.watch(std::move(parked));
  }
  int stop_signal(RealPid pid) override { return stopped_.stop_signal(pid); }
  void let_stop(RealPid pid) override { stopped_.let_go(pid); }
  bool had(RealPid pid) override { return stopped_.has(pid); }
  void wait_stopped(const Deadline& deadline) override { stopped_.wait_stopped(deadline); }
  void end_of_freeze(const Deadline& deadline) override { stopped_.finish(deadline); }

 private:
  StoppedProcesses stopped_;
};

}  // namespace

TaskControl& kernel_task_control() {
  static KernelTaskControl control;
  return control;
}

std::uint32_t next_freeze_word(std::uint32_t previous) { return (previous + 1) | 1; }

Freeze::Freeze(abi::ProcessSlot& slot, TaskControl& control, std::uint32_t word)
    : slot_(slot), control_(control), pid_{slot.real_pid.load()}, word_(word) {}

// Whoever is stopped takes no signal by itself. ('t': it is under way already, or a debugger's.)
Result<> Freeze::let_stopped_park(const std::vector<Task>& tasks) {
  const bool any = any_in_state(tasks, 'T') || any_in_state(tasks, 't');
  return any ? control_.let_park(pid_) : Result<>();
}

Result<> Freeze::signal(const std::vector<Task>& tasks) {
  for (const Task& task : tasks) {
    if (task.request_pending) continue;
    const auto asked = control_.request_park(pid_, task.tid, word_);
    // EAGAIN: the user's limit of queued signals; the next round tries again.
    if (!asked && asked.error().code != ESRCH && asked.error().code != EAGAIN)
      return Failure(asked.error());
  }
  return {};
}

Result<> Freeze::request() {
  CAIRN_ASSIGN(const std::vector<Task> tasks, control_.tasks(pid_));
  slot_.serve_tid.store(0);
  released_ = false;
  slot_.freeze_word.store(word_);
  found_stopped_ = any_in_state(tasks, 'T') || any_in_state(tasks, 't');
  return signal(tasks);
}

Result<> Freeze::wait_parked(const Deadline& deadline) {
  Deadline round{kRound};
  std::vector<pid_t> before;
  for (;;) {
    const std::uint32_t parked = slot_.parked.load();
    CAIRN_ASSIGN(const std::vector<Task> tasks, control_.tasks(pid_));
    CAIRN_TRY(let_stopped_park(tasks));
    tids_.clear();
    for (const Task& task : tasks) tids_.push_back(task.tid);
    std::sort(tids_.begin(), tids_.end());
    // One that was killed while it was parked is counted still, until it has ended.
    const bool dying = std::any_of(tasks.begin(), tasks.end(), [](const Task& t) { return t.dying; });
    if (parked == tids_.size() && !dying) {
      if (tids_ == before) return {};
      before = tids_;
      continue;
    }
    before.clear();
    if (deadline.passed()) return timed_out(tasks);
    if (round.passed()) {
      CAIRN_TRY(signal(tasks));
      round = Deadline{kRound};
    }
    futex_wait(slot_.parked, parked, std::min(round.left(), deadline.left()));
  }
}

Failure Freeze::timed_out(const std::vector<Task>& tasks) const {
  std::string reason = "freeze " + process_name(pid_) + ": " +
                       std::to_string(slot_.parked.load()) + " of " +
                       std::to_string(tasks.size()) + " threads came to rest";
  for (const Task& task : tasks) {
    if (task.state == 'D')
      reason += "; thread " + std::to_string(task.tid) + " waits in the kernel uninterruptibly";
    if (task.state == 't')
      reason += "; thread " + std::to_string(task.tid) + " is stopped by a debugger";
  }
  return failure(ETIMEDOUT, reason);
}

pid_t Freeze::server() const {
  const bool main_lives = std::binary_search(tids_.begin(), tids_.end(), pid_.value);
  return main_lives ? pid_.value : tids_.front();
}

void Freeze::choose_server() {
  slot_.serve_tid.store(server());
  // The word itself stays: whoever is woken looks at serve_tid and waits again.
  futex_wake_all(slot_.freeze_word);
}

// A thread that has just parked may have looked at serve_tid before it was set and go to sleep after
// the wake-up: it hears the next one. Whoever serves sets serve_tid to 0, and wakes us.
void Freeze::wait_chosen(const Deadline& deadline) {
  for (;;) {
    const std::int32_t chosen = slot_.serve_tid.load();
    if (chosen == 0 || deadline.passed()) return;
    futex_wait(slot_.serve_tid, chosen,
               std::min<std::chrono::nanoseconds>(deadline.left(), kRound));
    futex_wake_all(slot_.freeze_word);
  }
}

void Freeze::release() {
  if (released_) return;
  released_ = true;
  let_stop();
  // The runtime may have done so itself after kThaw; a newer process may have the slot by now.
  std::uint32_t expected = word_;
  slot_.freeze_word.compare_exchange_strong(expected, 0);
  slot_.serve_tid.store(0);
  futex_wake_all(slot_.freeze_word);
}

Result<> Freeze::wait_unparked(const Deadline& deadline) {
  while (const std::uint32_t parked = slot_.parked.load()) {
    if (deadline.passed())
      return failure(ETIMEDOUT, "see " + process_name(pid_) + " run on after a freeze");
    futex_wait(slot_.parked, parked, std::min<std::chrono::nanoseconds>(deadline.left(), kRound));
    if (::kill(pid_.value, 0) != 0 && errno == ESRCH) return {};
    // Stopped by somebody on its way out.
    const auto tasks = control_.tasks(pid_);
    if (tasks && any_in_state(*tasks, 'T')) CAIRN_TRY(control_.let_out(pid_));
  }
  return {};
}

}  // namespace cairn::checkpoint
