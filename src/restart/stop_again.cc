// For each, children before their parents, since a stopped parent answers nothing more:
//
//   go            its runtime raises the signal (src/runtime/restorer/stop_again.cc)
//   stopped       every thread is, says /proc
//   told          the parent waits for the stop if it had done so before the checkpoint, and does
//                 not keep a SIGCHLD that its record has not

#include "restart/stop_again.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include "base/files.h"

namespace cairn::restart {
namespace {

using resources::RemoteProcess;
using std::chrono::milliseconds;

constexpr milliseconds kStopTimeout{10'000};
constexpr milliseconds kPause{1};
constexpr std::size_t kMaskBytes = 8;

// True of a thread that has ended, too.
bool is_at_rest(const std::filesystem::path& thread) {
  const auto status = read_text_file(thread / "status");
  const char state = status ? state_in_status(*status) : '\0';
  if (state != '\0' && std::string_view("TZX").find(state) == std::string_view::npos) return false;
  // It may be about to tell its parent still (do_signal_stop); this file is not there to be read
  // before it has given its CPU away (task_current_syscall).
  (void)read_text_file(thread / "syscall");
  return true;
}

bool is_stopped(RealPid pid) {
  std::error_code error;
  std::filesystem::directory_iterator thread("/proc/" + std::to_string(pid.value) + "/task", error);
  for (; !error && thread != std::filesystem::directory_iterator(); thread.increment(error))
    if (!is_at_rest(thread->path())) return false;
  return true;
}

Result<> wait_stopped(RealPid pid) {
  const Deadline deadline{kStopTimeout};
  while (!is_stopped(pid)) {
    if (deadline.passed())
      return failure(ETIMEDOUT, "see process " + std::to_string(pid.value) + " stopped again");
    std::this_thread::sleep_for(kPause);
  }
  return {};
}

bool has_sigchld(const google::protobuf::RepeatedPtrField<std::string>& pending) {
  return std::any_of(pending.begin(), pending.end(), [](const std::string& info) {
    std::int32_t signal = 0;
    if (info.size() >= sizeof signal) std::memcpy(&signal, info.data(), sizeof signal);
    return signal == SIGCHLD;
  });
}

bool is_told_of_stops(const image::ProcessImage& record) {
  if (record.signals().actions_size() < SIGCHLD) return false;
  const image::SignalAction& action = record.signals().actions(SIGCHLD - 1);
  const auto ignored = reinterpret_cast<std::uint64_t>(SIG_IGN);
  return action.handler() != ignored && (action.flags() & SA_NOCLDSTOP) == 0;
}

// One that the record has is the one that is pending: the kernel keeps one of a kind, the first. The
// threads' own are taken first, so it is a thread without one that takes what has come.
Result<> forget_notice(RemoteProcess& parent, const image::ProcessImage& record) {
  if (has_sigchld(record.signals().pending()) || !is_told_of_stops(record)) return {};
  const auto& threads = record.threads();
  const auto taker = std::find_if(threads.begin(), threads.end(), [](const image::Thread& thread) {
    return !has_sigchld(thread.pending());
  });
  if (taker == threads.end()) return {};
  CAIRN_ASSIGN(const auto set, parent.scratch_object(std::uint64_t{1} << (SIGCHLD - 1)));
  CAIRN_ASSIGN(const auto soon, parent.scratch_object(timespec{1, 0}));  // it may come this moment
  const auto taken =
      parent.syscall_on(static_cast<std::int32_t>(taker - threads.begin()), SYS_rt_sigtimedwait,
                        set.address(), 0, soon.address(), kMaskBytes);
  if (!taken && taken.error().code != EAGAIN) return Failure(taken.error());
  return {};
}

Result<> tell(RemoteProcess& parent, const image::ProcessImage& record, RealPid child,
              bool waited_for) {
  if (waited_for)
    CAIRN_TRY(parent.syscall(SYS_waitid, P_PID, child.value, 0, WSTOPPED | WNOHANG | __WALL, 0));
  return forget_notice(parent, record);
}

// Whose runtime may be let run by a ptracer from now on, and is not to stop once more.
void note_stopped(abi::JobSegment& segment, RealPid pid) {
  const std::uint32_t count = std::min(segment.slots_used.load(), abi::kMaxProcesses);
  for (std::uint32_t i = 0; i < count; ++i)
    if (segment.slots[i].real_pid.load() == pid.value) segment.slots[i].stopped.store(1);
}

// Those of the tree that were stopped, whoever is deepest first.
std::vector<std::size_t> stopped_ones(const Plan& plan, const Tree& tree) {
  std::map<std::int32_t, std::int32_t> parents;
  for (const image::ProcessImage& record : plan.records.processes)
    parents[record.pid()] = record.ppid();
  const auto depth = [&](std::size_t i) {
    std::size_t steps = 0;
    for (auto at = parents.find(plan.records.processes[i].pid());
         at != parents.end() && steps <= parents.size(); at = parents.find(at->second))
      ++steps;
    return steps;
  };
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < tree.processes.size(); ++i)
    if (plan.records.processes[i].stop_signal() != 0) found.push_back(i);
  std::stable_sort(found.begin(), found.end(),
                   [&](std::size_t a, std::size_t b) { return depth(a) > depth(b); });
  return found;
}

}  // namespace

Result<std::vector<bool>> stop_again(const Plan& plan, Tree& tree, abi::JobSegment& segment) {
  std::vector<bool> stopped(tree.processes.size(), false);
  for (const std::size_t i : stopped_ones(plan, tree)) {
    const image::ProcessImage& record = plan.records.processes[i];
    RemoteProcess& process = tree.processes[i];
    CAIRN_TRY(process.stop_at_go(record.stop_signal()));
    CAIRN_TRY(process.go());
    stopped[i] = true;
    CAIRN_TRY(wait_stopped(process.pid()));
    note_stopped(segment, process.pid());
    for (std::size_t k = 0; k < tree.processes.size(); ++k)
      if (plan.records.processes[k].pid() == record.ppid())
        CAIRN_TRY(tell(tree.processes[k], plan.records.processes[k], process.pid(),
                       record.stop_waited_for()));
  }
  return stopped;
}

}  // namespace cairn::restart
