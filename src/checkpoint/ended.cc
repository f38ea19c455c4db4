#include "checkpoint/ended.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "base/files.h"

namespace cairn::checkpoint {
namespace {

struct Stat {
  std::string name;
  char state = '\0';
  pid_t parent = 0, group = 0, session = 0;
  int exit_signal = SIGCHLD;
};

// The command's name may hold spaces and parentheses.
Result<Stat> read_stat(pid_t pid) {
  CAIRN_ASSIGN(const auto text, read_text_file("/proc/" + std::to_string(pid) + "/stat"));
  const std::size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos)
    return refusal("the stat file of process " + std::to_string(pid) + " is not understood");
  Stat stat{.name = text.substr(open + 1, close - open - 1)};
  std::istringstream fields(text.substr(close + 1));
  fields >> stat.state >> stat.parent >> stat.group >> stat.session;
  std::string skipped;
  for (int field = 7; field < 38; ++field) fields >> skipped;
  fields >> stat.exit_signal;
  return stat;
}

// Each thread has children of its own. A kernel without CONFIG_PROC_CHILDREN has no such file: then
// all processes of the machine are looked at.
Result<std::vector<pid_t>> children_of(const std::vector<ParentProcess>& parents) {
  std::vector<pid_t> children;
  for (const ParentProcess& parent : parents)
    for (const pid_t thread : parent.threads) {
      const auto text = read_text_file("/proc/" + std::to_string(parent.remote->pid().value) +
                                       "/task/" + std::to_string(thread) + "/children");
      if (!text) break;
      std::istringstream numbers(*text);
      for (pid_t child = 0; numbers >> child;) children.push_back(child);
    }
  if (std::filesystem::exists("/proc/thread-self/children")) return children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    const auto stat = pid > 0 ? read_stat(pid) : Result<Stat>();
    const bool ours = pid > 0 && stat &&
                      std::any_of(parents.begin(), parents.end(), [&](const ParentProcess& parent) {
                        return parent.remote->pid().value == stat->parent;
                      });
    if (ours) children.push_back(pid);
  }
  return children;
}

// As wait() would give it.
Result<int> wait_status(resources::RemoteProcess& parent, pid_t pid) {
  CAIRN_ASSIGN(const auto place, parent.scratch_object(siginfo_t{}));
  CAIRN_TRY(parent.syscall(SYS_waitid, P_PID, pid, place.address(),
                           WEXITED | WNOHANG | WNOWAIT | __WALL, 0));
  CAIRN_ASSIGN(const auto info, parent.read_object<siginfo_t>(place.address()));
  if (info.si_pid != pid)
    return refusal("process " + std::to_string(pid) +
                   " has ended, and how cannot be told (is it being traced?)");
  if (info.si_code == CLD_EXITED) return W_EXITCODE(info.si_status, 0);
  return info.si_status | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

}  // namespace

Result<Untold> untold(resources::RemoteProcess& parent, pid_t child) {
  CAIRN_ASSIGN(const auto place, parent.scratch_object(siginfo_t{}));
  const auto waited =
      parent.syscall(SYS_waitid, child == 0 ? P_ALL : P_PID, child, place.address(),
                     WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | __WALL, 0);
  if (!waited && waited.error().code == ECHILD) return Untold{};
  CAIRN_TRY(waited);
  CAIRN_ASSIGN(const auto info, parent.read_object<siginfo_t>(place.address()));
  Untold untold;
  if (info.si_pid != 0 && info.si_code == CLD_STOPPED) untold.stop_signal = info.si_status;
  untold.continued = info.si_pid != 0 && info.si_code == CLD_CONTINUED;
  return untold;
}

int exit_signal_of(RealPid pid) {
  const auto stat = read_stat(pid.value);
  return stat ? stat->exit_signal : SIGCHLD;
}

Result<std::vector<EndedProcess>> capture_ended(const std::vector<ParentProcess>& parents,
                                                const abi::IdTable& ids) {
  std::set<pid_t> alive;
  for (const ParentProcess& parent : parents) alive.insert(parent.remote->pid().value);
  std::vector<EndedProcess> ended;
  CAIRN_ASSIGN(const auto children, children_of(parents));
  for (const pid_t pid : children) {
    if (alive.contains(pid)) continue;
    CAIRN_ASSIGN(const Stat stat, read_stat(pid));
    if (stat.state != 'Z')
      return refusal("process " + std::to_string(pid) + " (" + stat.name +
                     "), a child of the job, does not run under Cairn");
    const auto parent = std::find_if(parents.begin(), parents.end(), [&](const auto& one) {
      return one.remote->pid().value == stat.parent;
    });
    if (parent == parents.end()) continue;
    image::ProcessImage& record = ended.emplace_back(EndedProcess{RealPid{pid}, {}}).image;
    record.set_pid(ids.to_virtual(pid));
    record.set_ppid(ids.to_virtual(stat.parent));
    record.set_pgid(ids.to_virtual_group(stat.group));
    record.set_sid(ids.to_virtual_group(stat.session));
    record.set_exit_signal(stat.exit_signal);
    record.mutable_program()->set_name(stat.name);
    record.set_zombie(true);
    CAIRN_ASSIGN(const int status, wait_status(*parent->remote, pid));
    record.set_wait_status(status);
  }
  return ended;
}

}  // namespace cairn::checkpoint
