#include "checkpoint/stopped.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "abi/park.h"
#include "checkpoint/task_list.h"

namespace cairn::checkpoint {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr microseconds kTransitPause{100};
constexpr milliseconds kParkedPause{1};
constexpr milliseconds kPause{20};  // while there is nobody
constexpr milliseconds kSeeStopped{200};
constexpr int kLookShare = 20;      // of the time is spent on looking, at most
constexpr std::size_t kMaskBytes = 8;

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

constexpr std::uint64_t kParkBit = bit(abi::kParkSignal);
// Those that an instruction may raise, and the runtime sends itself SIGSYS: never held back.
constexpr std::uint64_t kOwn = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGFPE) |
                               bit(SIGTRAP) | bit(SIGSYS);

long trace(int request, pid_t tid, std::uint64_t address, void* data) {
  return ::syscall(SYS_ptrace, request, tid, address, data);
}

void* as_data(int value) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(value)); }

bool is_stop_signal(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

// By an instruction, or by the runtime to itself (the kick of src/runtime/intercept/front.cc).
bool is_own(pid_t tid, pid_t process, int signal) {
  if ((kOwn & bit(signal)) == 0) return false;
  siginfo_t info{};
  if (trace(PTRACE_GETSIGINFO, tid, 0, &info) != 0) return true;
  return info.si_code > 0 || (info.si_code == SI_TKILL && info.si_pid == process);
}

bool is_park_request(pid_t tid) {
  siginfo_t info{};
  if (trace(PTRACE_GETSIGINFO, tid, 0, &info) != 0) return true;
  const auto value = reinterpret_cast<std::uint64_t>(info.si_value.sival_ptr);
  return info.si_code == SI_QUEUE && value >> 32 == abi::kParkMagic >> 32;
}

}  // namespace

// ---- what others ask for ----------------------------------------------------------------------

void StoppedProcesses::begin() {
  if (tracer_.joinable()) return;
  ending_ = false;
  tracer_ = std::thread([this] { run(); });
}

// Only the thread that has seized a task may do more with it.
void StoppedProcesses::on_tracer(const std::function<void()>& work) {
  std::unique_lock lock(mutex_);
  begin();
  changed_.wait(lock, [this] { return work_ == nullptr; });
  work_ = &work;
  changed_.notify_all();
  changed_.wait(lock, [&] { return work_ != &work; });
}

Result<> StoppedProcesses::to_gate(RealPid pid) {
  Result<> taken;
  on_tracer([&] { taken = take(pid.value, Goal::kGate); });
  return taken;
}

Result<> StoppedProcesses::to_park(RealPid pid) {
  Result<> taken;
  on_tracer([&] { taken = take(pid.value, Goal::kPark); });
  return taken;
}

void StoppedProcesses::watch(std::vector<std::pair<RealPid, pid_t>> parked) {
  {
    const std::lock_guard lock(mutex_);
    watched_ = std::move(parked);
    next_look_ = Deadline(kPause);
    begin();
    if (threads_.empty()) return;  // most jobs: not kept waiting for a thread
  }
  on_tracer([&] {
    for (auto& [tid, thread] : threads_) {
      thread.asked = true;  // so it need not be stopped at every call any more
      if (thread.runs && thread.by_calls) (void)trace(PTRACE_INTERRUPT, tid, 0, nullptr);
    }
  });
}

int StoppedProcesses::stop_signal(RealPid pid) {
  int signal = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!processes_.contains(pid.value)) return 0;
  }
  on_tracer([&] {
    while (take_events()) {
    }
    const auto process = processes_.find(pid.value);
    if (process != processes_.end()) signal = process->second.stop_signal;
  });
  return signal;
}

void StoppedProcesses::let_go(RealPid pid) {
  {
    const std::lock_guard lock(mutex_);
    let_go_.insert(pid.value);
    if (!processes_.contains(pid.value)) return;
  }
  on_tracer([&] { stop_again(pid.value); });
}

bool StoppedProcesses::has(RealPid pid) {
  const std::lock_guard lock(mutex_);
  return processes_.contains(pid.value);
}

void StoppedProcesses::wait_stopped(const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.at(), [this] { return !anybody_is_let_go(); });
}

void StoppedProcesses::finish(const Deadline& deadline) {
  if (tracer_.joinable()) {
    on_tracer([&] {
      watched_.clear();
      for (const auto& [pid, process] : processes_) stop_again(pid);
    });
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline.at(),
                        [this] { return threads_.empty() && stopping_.empty(); });
    ending_ = true;
    changed_.notify_all();
    lock.unlock();
    tracer_.join();  // whose end is that of all its ptracing
  }
  processes_.clear();
  threads_.clear();
  let_go_.clear();
  gone_.clear();
  stopping_.clear();
}

// ---- the tracer -------------------------------------------------------------------------------

void StoppedProcesses::run() {
  std::unique_lock lock(mutex_);
  while (!ending_ || work_ != nullptr) {
    if (work_ != nullptr) {
      (*work_)();
      work_ = nullptr;
    }
    look();
    const bool moved = take_events();
    advance_waiting();
    see_stopping();
    changed_.notify_all();
    if (moved) continue;
    changed_.wait_for(lock, pause(), [this] { return ending_ || work_ != nullptr; });
  }
}

StoppedProcesses::Goal StoppedProcesses::goal_of(const Thread& thread) const {
  const auto process = processes_.find(thread.process);
  return process == processes_.end() ? Goal::kStop : process->second.goal;
}

bool StoppedProcesses::anybody_is_let_go() const {
  return !stopping_.empty() ||
         std::any_of(threads_.begin(), threads_.end(), [this](const auto& entry) {
           return goal_of(entry.second) == Goal::kStop;
         });
}

// How long an event is left alone: whoever is stopped at one does nothing meanwhile.
microseconds StoppedProcesses::pause() const {
  const bool in_transit =
      !stopping_.empty() ||
      std::any_of(threads_.begin(), threads_.end(), [this](const auto& entry) {
        return !entry.second.asked || goal_of(entry.second) != Goal::kPark;
      });
  if (in_transit) return kTransitPause;
  return threads_.empty() ? microseconds(kPause) : microseconds(kParkedPause);
}

Result<> StoppedProcesses::take(pid_t pid, Goal goal) {
  Process& process = processes_.try_emplace(pid, Process{goal}).first->second;
  process.goal = let_go_.contains(pid) ? Goal::kStop : goal;
  for (const Task& task : live_tasks(RealPid{pid}))
    if (task.state == 'T' && !threads_.contains(task.tid) && !gone_.contains(task.tid))
      CAIRN_TRY(seize(pid, task.tid));
  return {};
}

Result<> StoppedProcesses::seize(pid_t pid, pid_t tid) {
  if (trace(PTRACE_SEIZE, tid, 0, as_data(PTRACE_O_TRACESYSGOOD)) == 0) {
    // If it was continued just now, it comes to a ptrace stop all the same.
    (void)trace(PTRACE_INTERRUPT, tid, 0, nullptr);
    threads_.emplace(tid, Thread{.process = pid});
    return {};
  }
  if (errno == ESRCH) return {};
  return refusal("process " + std::to_string(pid) +
                 " is stopped (SIGSTOP or Ctrl-Z) and may not be traced (Yama's ptrace_scope,"
                 " PR_SET_DUMPABLE); continue it first");
}

// Whoever is parked and is stopped now, by somebody outside of the job, would answer no more.
void StoppedProcesses::look() {
  if (watched_.empty() || !next_look_.passed()) return;
  const auto begun = Clock::now();
  for (const auto& [pid, tid] : watched_) {
    if (!processes_.contains(pid.value) && task_state(pid, tid) != 'T') continue;
    const std::size_t before = threads_.size();
    if (!take(pid.value, Goal::kPark) || threads_.size() == before) continue;
    for (auto& [taken, thread] : threads_) thread.asked = true;
  }
  const auto spent = std::chrono::ceil<milliseconds>(Clock::now() - begun);
  next_look_ = Deadline(std::max(kPause, kLookShare * spent));
}

bool StoppedProcesses::take_events() {
  int status = 0;
  // __WNOTHREAD: of this thread, not what others of the agent have started.
  const pid_t tid = ::waitpid(-1, &status, WNOHANG | __WALL | __WNOTHREAD);
  if (tid <= 0) return false;
  if (WIFSTOPPED(status))
    note_stop(tid, status);
  else
    threads_.erase(tid);
  return true;
}

void StoppedProcesses::note_stop(pid_t tid, int status) {
  // Unknown is a thread that took the number of its process' first one, by exec.
  const auto thread = threads_.try_emplace(tid, Thread{.process = tid}).first;
  Thread& one = thread->second;
  one.runs = false;
  one.signal = 0;
  const int signal = WSTOPSIG(status);
  if (status >> 16 == PTRACE_EVENT_STOP) {
    one.moment = Moment::kEvent;
    const auto process = processes_.find(one.process);
    // SIGTRAP: the process is not stopped, or not any more.
    if (process != processes_.end()) process->second.stop_signal = signal == SIGTRAP ? 0 : signal;
  } else if (signal == (SIGTRAP | 0x80)) {
    one.moment = one.in_call ? Moment::kCallExit : Moment::kCallEntry;
  } else {
    one.moment = Moment::kSignal;
    one.signal = signal;
  }
  one.in_call = one.moment == Moment::kCallEntry;
  advance(thread);
}

// One step from a ptrace stop towards the goal.
void StoppedProcesses::advance(Threads::iterator entry) {
  auto& [tid, thread] = *entry;
  const bool is_request = thread.signal == abi::kParkSignal && is_park_request(tid);
  if (thread.signal != 0 && !is_request) return pass_on(tid, thread);
  const Goal goal = goal_of(thread);
  if (goal == Goal::kPark && thread.asked) return resume(tid, thread, false, thread.signal);
  std::uint64_t mask = 0;
  if (thread.mask)
    mask = *thread.mask;
  else if (trace(PTRACE_GETSIGMASK, tid, kMaskBytes, &mask) != 0)
    return;  // it was killed: its end is the next event
  const bool at_gate = (mask & kParkBit) == 0 && thread.moment != Moment::kCallEntry;
  if (!at_gate) return resume(tid, thread, true, thread.signal);
  if (goal == Goal::kStop) return detach(entry);
  if (goal == Goal::kPark && ask(tid, thread)) resume(tid, thread, false, thread.signal);
}

void StoppedProcesses::advance_waiting() {
  for (auto entry = threads_.begin(); entry != threads_.end();) {
    const auto next = std::next(entry);
    if (!entry->second.runs) advance(entry);
    entry = next;
  }
}

// True: it may run, into the front handler or to the delivery of the park signal that leads there.
// Its other signals stay where they are: while a process is stopped, none is delivered.
bool StoppedProcesses::ask(pid_t tid, Thread& thread) {
  if (thread.signal == abi::kParkSignal) {
    thread.asked = true;
    return true;
  }
  const RealPid pid{thread.process};
  const auto task = task_of(pid, tid);
  const bool wanted = thread.confused || !task || !task->request_pending;
  if (wanted && !request_park(pid, tid, 0)) return false;  // the user's limit: tried again
  thread.confused = false;
  block(tid, thread, 0);
  return true;
}

// All signals but those of its own making and the park signal, and `also`.
void StoppedProcesses::block(pid_t tid, Thread& thread, std::uint64_t also) {
  std::uint64_t mask = 0;
  if (!thread.mask && trace(PTRACE_GETSIGMASK, tid, kMaskBytes, &mask) == 0) thread.mask = mask;
  mask = thread.mask.value_or(0) | ~(kParkBit | kOwn) | also;
  (void)trace(PTRACE_SETSIGMASK, tid, kMaskBytes, &mask);
}

// A signal that is no park request is about to be delivered.
void StoppedProcesses::pass_on(pid_t tid, Thread& thread) {
  const int signal = thread.signal;
  const bool parks = goal_of(thread) == Goal::kPark && thread.asked;
  if (is_own(tid, thread.process, signal) || is_stop_signal(signal) || signal == SIGCONT)
    return resume(tid, thread, !parks, signal);
  // The kernel queues it again if it is blocked by now (ptrace_signal); the next stop is at once.
  thread.confused = thread.confused || signal == abi::kParkSignal;
  block(tid, thread, bit(signal));
  (void)trace(PTRACE_INTERRUPT, tid, 0, nullptr);
  thread.runs = true;
  thread.by_calls = !parks;
  (void)trace(parks ? PTRACE_CONT : PTRACE_SYSCALL, tid, 0, as_data(signal));
}

// With its own mask, unless it goes to the delivery of the park signal.
void StoppedProcesses::resume(pid_t tid, Thread& thread, bool by_calls, int signal) {
  const bool to_delivery = thread.mask && signal == 0 && !by_calls && !thread.asked;
  if (thread.mask && !to_delivery) {
    (void)trace(PTRACE_SETSIGMASK, tid, kMaskBytes, &*thread.mask);
    thread.mask.reset();
  }
  thread.runs = true;
  thread.by_calls = by_calls;
  (void)trace(by_calls ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, as_data(signal));
}

void StoppedProcesses::detach(Threads::iterator entry) {
  auto& [tid, thread] = *entry;
  if (thread.mask) (void)trace(PTRACE_SETSIGMASK, tid, kMaskBytes, &*thread.mask);
  // A park signal that nobody waits for any more may have another meaning (held_signals.cc).
  if (trace(PTRACE_DETACH, tid, 0, as_data(thread.signal)) != 0) return;
  gone_.insert(tid);
  const auto process = processes_.find(thread.process);
  if (process != processes_.end() && process->second.stop_signal != 0)
    stopping_.insert({tid, {thread.process, Deadline(kSeeStopped)}});
  threads_.erase(entry);
}

// It runs a little in the kernel before it is stopped, and needs a CPU for that. If it was continued in
// this very moment, it never is.
void StoppedProcesses::see_stopping() {
  std::erase_if(stopping_, [](const auto& entry) {
    const auto& [tid, stopping] = entry;
    const auto task = task_of(RealPid{stopping.process}, tid);
    return !task || task->state != 'R' || stopping.until.passed();
  });
}

// Interrupted, it comes to a ptrace stop before its next instruction outside of the kernel: so it
// does not pass the gate, whatever it finds in its slot.
void StoppedProcesses::stop_again(pid_t pid) {
  const auto process = processes_.find(pid);
  if (process == processes_.end()) return;
  process->second.goal = Goal::kStop;
  for (auto& [tid, thread] : threads_)
    if (thread.process == pid && thread.runs) (void)trace(PTRACE_INTERRUPT, tid, 0, nullptr);
  // Nothing more is heard of a first thread that has ended before the others, nor of one that took the
  // first one's number by exec.
  std::erase_if(threads_, [pid](const auto& entry) {
    return entry.second.process == pid && !task_of(RealPid{pid}, entry.first);
  });
}

}  // namespace cairn::checkpoint
