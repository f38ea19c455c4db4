#pragma once
// Processes that are stopped by a signal (SIGSTOP, Ctrl-Z) come to rest like all others, and are
// stopped again afterwards, without anybody being told that they ran.
//
// A stopped thread runs no handler. Its ptracer lets it run all the same: what is stopped is the
// process, for its parent and for all others, and that stays. When the ptracer lets go of a thread
// whose process is stopped, the kernel stops the thread again and tells nobody (__ptrace_unlink).
//
//   a thread of the agent                       a stopped thread of the job
//   PTRACE_SEIZE                          --->  is the ptracer's, wherever it was stopped
//   PTRACE_SYSCALL ...                    --->  out of the runtime, if it was in there, to the gate
//   park signal, PTRACE_CONT              --->  front handler, parks
//                                               ... is captured, as all others
//   PTRACE_INTERRUPT, PTRACE_SYSCALL ...  --->  out of the park, to the gate
//   PTRACE_DETACH                         --->  stopped where the guest would have gone on
//
// The gate is where the kernel is about to return to the guest: a ptrace stop with the park signal
// not blocked. No thread passes it but into its front handler, so the guest runs no instruction;
// signals that were sent to it stay pending. Should this thread or the agent end, the kernel lets go
// of all, which stops them again wherever they are.

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "base/strong.h"

namespace cairn::checkpoint {

// All calls may come from any thread. One thread of its own is the ptracer: it begins with the first
// call that needs it, and ends in finish().
class StoppedProcesses {
 public:
  StoppedProcesses() = default;
  ~StoppedProcesses() { finish(Deadline(std::chrono::milliseconds(0))); }
  StoppedProcesses(const StoppedProcesses&) = delete;
  StoppedProcesses& operator=(const StoppedProcesses&) = delete;

  // Those threads of the process that are stopped now go to the gate and wait there. An error says
  // why they cannot be had; that the process is gone is none.
  Result<> to_gate(RealPid pid);
  // They park, as those do that wait at the gate. The slot's freeze word has to be set.
  Result<> to_park(RealPid pid);

  // All of these processes are parked. Whichever is stopped from now on is let run in the park.
  // Each with a thread that lives.
  void watch(std::vector<std::pair<RealPid, pid_t>> parked);
  // The signal that a process which was had is stopped by; 0: it is not.
  int stop_signal(RealPid pid);

  // From now on whoever of it leaves the park is let go at the gate. Before it is thawed.
  void let_go(RealPid pid);
  // Whether any thread of it was had.
  [[nodiscard]] bool has(RealPid pid);
  // None of those that were let go is on its way to its stop any more, or the time is over.
  void wait_stopped(const Deadline& deadline);
  // All are let go: at the gate, or wherever they are at the deadline.
  void finish(const Deadline& deadline);

 private:
  enum class Goal { kGate, kPark, kStop };
  enum class Moment { kEvent, kCallEntry, kCallExit, kSignal };
  struct Process {
    Goal goal;
    int stop_signal = 0;
  };
  struct Thread {
    pid_t process;
    bool runs = true;          // else it is in the ptrace stop that the next two say
    Moment moment = Moment::kEvent;
    int signal = 0;            // that is about to be delivered
    bool in_call = false;      // the next stop at a system call is its exit
    bool by_calls = false;     // it was resumed by PTRACE_SYSCALL
    bool asked = false;        // parks, or is parked
    bool confused = false;     // a signal of the park signal's number is pending that is no request
    std::optional<std::uint64_t> mask;  // its own, while another one is set
  };
  using Threads = std::map<pid_t, Thread>;

  void on_tracer(const std::function<void()>& work);
  void begin();
  void run();
  Result<> take(pid_t pid, Goal goal);
  Result<> seize(pid_t pid, pid_t tid);
  void look();
  bool take_events();
  void note_stop(pid_t tid, int status);
  void advance(Threads::iterator thread);
  void advance_waiting();
  void pass_on(pid_t tid, Thread& thread);
  bool ask(pid_t tid, Thread& thread);
  void block(pid_t tid, Thread& thread, std::uint64_t also);
  void resume(pid_t tid, Thread& thread, bool by_calls, int signal);
  void detach(Threads::iterator thread);
  void stop_again(pid_t pid);
  void see_stopping();
  [[nodiscard]] std::chrono::microseconds pause() const;
  [[nodiscard]] bool anybody_is_let_go() const;
  [[nodiscard]] Goal goal_of(const Thread& thread) const;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::thread tracer_;
  bool ending_ = false;
  const std::function<void()>* work_ = nullptr;  // to be done by the tracer
  std::map<pid_t, Process> processes_;
  Threads threads_;
  std::set<pid_t> let_go_;  // processes
  std::set<pid_t> gone_;    // threads that were let go at the gate: they stay as they are
  struct Stopping {
    pid_t process;
    Deadline until;
  };
  std::map<pid_t, Stopping> stopping_;  // those of them that have not been seen stopped yet
  std::vector<std::pair<RealPid, pid_t>> watched_;
  Deadline next_look_{std::chrono::milliseconds(0)};
};

}  // namespace cairn::checkpoint
