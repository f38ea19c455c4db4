#include "restart/tree.h"

#include <linux/prctl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/files.h"
#include "resources/process_tree.h"

namespace cairn::restart {
namespace {

using resources::RemoteProcess;
using resources::TreeStep;

constexpr std::chrono::milliseconds kConnectTimeout{30'000};

struct KernelSigaction {
  std::uint64_t handler;
  std::uint64_t flags;
  std::uint64_t restorer;
  std::uint64_t mask;
};
constexpr std::size_t kMaskBytes = 8;

std::uint64_t bit(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

// The processes at work on the tree, by their numbers in the plan.
class Builder {
 public:
  Builder(const Plan& plan, ConnectionQueue& connections, abi::IdTable& ids, Newborns& newborns)
      : plan_(plan), connections_(connections), ids_(ids), newborns_(newborns) {}

  Result<> build(RemoteProcess starter);
  Tree result();

 private:
  [[nodiscard]] const std::vector<image::ProcessImage>& saved() const {
    return plan_.records.processes;
  }
  RemoteProcess& actor(int number) { return actors_.at(number); }

  Result<> look_around();
  Result<> take(const TreeStep& step);
  Result<> fork(const TreeStep& step);
  Result<> begin_session(RemoteProcess& process);
  Result<> leave_own_group(RemoteProcess& process);
  Result<> end_helper(int number, int parent);
  Result<> end_as_saved(int number);
  Result<> be_continued(int number);
  int waiter_of(const image::ProcessImage& image) const;
  Result<> forget_notices();
  Result<> bind();
  Result<> bind_id(std::int32_t saved, std::int32_t real);
  Result<> bind_group(std::int32_t saved, std::int32_t real);

  const Plan& plan_;
  ConnectionQueue& connections_;
  abi::IdTable& ids_;
  Newborns& newborns_;
  resources::TreePlan tree_;
  std::map<int, RemoteProcess> actors_;
  std::map<int, std::int32_t> pids_;      // of actors, also of those that have ended
  std::map<int, std::set<int>> notices_;  // signals that came of what was made to happen
  std::int32_t session_ = 0;              // where the starter stands
  std::int32_t group_ = 0;
};

// An ignored SIGCHLD, as the restart command may have it from its own parent, would let children
// vanish unseen.
Result<> Builder::look_around() {
  RemoteProcess& starter = actor(tree_.starter);
  CAIRN_ASSIGN(const auto session, starter.syscall(SYS_getsid, 0));
  CAIRN_ASSIGN(const auto group, starter.syscall(SYS_getpgid, 0));
  session_ = static_cast<std::int32_t>(session);
  group_ = static_cast<std::int32_t>(group);
  CAIRN_ASSIGN(const auto usual, starter.scratch_object(KernelSigaction{}));
  CAIRN_TRY(starter.syscall(SYS_rt_sigaction, SIGCHLD, usual.address(), 0, kMaskBytes));
  return {};
}

Result<> Builder::fork(const TreeStep& step) {
  CAIRN_ASSIGN(const RealPid pid,
               actor(step.actor).fork(static_cast<std::uint64_t>(step.exit_signal)));
  newborns_.add(pid);
  CAIRN_ASSIGN(Fd link, connections_.wait_for(pid, Deadline{kConnectTimeout}));
  CAIRN_ASSIGN(auto child, RemoteProcess::open(std::move(link)));
  if (child.hello().purpose != abi::LinkPurpose::kRestore)
    return refusal("a new process did not come for a restore");
  pids_[step.other] = pid.value;
  actors_.emplace(step.other, std::move(child));
  return {};
}

// A shell with job control has made the restart command the leader of a group, and such a one
// cannot begin a session.
Result<> Builder::leave_own_group(RemoteProcess& process) {
  CAIRN_ASSIGN(const RealPid pid, process.fork(0));
  newborns_.add(pid);
  CAIRN_TRY(process.syscall(SYS_setpgid, pid.value, pid.value));
  CAIRN_TRY(process.syscall(SYS_setpgid, 0, pid.value));
  CAIRN_TRY(process.syscall(SYS_kill, pid.value, SIGKILL));
  CAIRN_TRY(process.syscall(SYS_wait4, pid.value, 0, __WALL, 0));
  return {};
}

Result<> Builder::begin_session(RemoteProcess& process) {
  CAIRN_ASSIGN(const auto group, process.syscall(SYS_getpgid, 0));
  if (static_cast<std::int32_t>(group) == process.pid().value) CAIRN_TRY(leave_own_group(process));
  CAIRN_TRY(process.syscall(SYS_setsid));
  return {};
}

Result<> Builder::end_helper(int number, int parent) {
  const std::int32_t pid = actor(number).pid().value;
  // Gives no answer: its end is the end of the link.
  (void)actor(number).syscall(SYS_exit_group, 0);
  actors_.erase(number);
  CAIRN_TRY(actor(parent).syscall(SYS_wait4, pid, 0, __WALL, 0));
  return {};
}

Result<> Builder::take(const TreeStep& step) {
  using Kind = TreeStep::Kind;
  RemoteProcess& process = actor(step.actor);
  switch (step.kind) {
    case Kind::kFork:
      return fork(step);
    case Kind::kSession:
      return begin_session(process);
    case Kind::kGroup:
      CAIRN_TRY(process.syscall(SYS_setpgid, 0, actor(step.other).pid().value));
      return {};
    case Kind::kAdopt:
    case Kind::kRelease:
      CAIRN_TRY(process.syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER,
                                step.kind == Kind::kAdopt ? 1 : 0, 0, 0, 0));
      return {};
    case Kind::kEnd:
      return end_helper(step.actor, step.other);
  }
  return refusal("a step of the tree is of no known kind");
}

int Builder::waiter_of(const image::ProcessImage& image) const {
  const auto parent =
      std::find_if(saved().begin(), saved().end(),
                   [&](const image::ProcessImage& other) { return other.pid() == image.ppid(); });
  return static_cast<int>(parent - saved().begin());
}

// Stopped and continued once more, so that its parent may wait for that.
Result<> Builder::be_continued(int number) {
  RemoteProcess& process = actor(number);
  const std::int32_t pid = process.pid().value;
  const int waiter = waiter_of(saved()[static_cast<std::size_t>(number)]);
  const auto parent = actors_.find(waiter);
  if (parent == actors_.end()) return {};
  notices_[waiter].insert(SIGCHLD);
  if (::kill(pid, SIGSTOP) != 0) return os_failure("stop a new process");
  CAIRN_TRY(parent->second.syscall(SYS_waitid, P_PID, pid, 0, WSTOPPED | __WALL, 0));
  if (::kill(pid, SIGCONT) != 0) return os_failure("continue a new process");
  notices_[number].insert(SIGCONT);  // blocked, so it is pending
  CAIRN_TRY(process.syscall(SYS_getpid));  // it has sent the parent its notices once it answers
  return {};
}

// Ended by the very signal or exit status, so that whoever waits for it is told the same.
Result<> Builder::end_as_saved(int number) {
  const image::ProcessImage& image = saved()[static_cast<std::size_t>(number)];
  const int status = image.wait_status();
  RemoteProcess& process = actor(number);
  const std::int32_t pid = process.pid().value;
  CAIRN_ASSIGN(const auto name, process.scratch_text(image.program().name()));
  CAIRN_TRY(process.syscall(SYS_prctl, PR_SET_NAME, name.address()));
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    CAIRN_ASSIGN(const auto usual, process.scratch_object(KernelSigaction{}));
    CAIRN_ASSIGN(const auto set, process.scratch_object(bit(signal)));
    CAIRN_ASSIGN(const auto no_core, process.scratch_object(rlimit{0, 0}));
    std::array calls{
        RemoteProcess::make_call(0, SYS_prlimit64, 0, RLIMIT_CORE, no_core.address(), 0),
        RemoteProcess::make_call(0, SYS_rt_sigaction, signal, usual.address(), 0, kMaskBytes),
        RemoteProcess::make_call(0, SYS_kill, pid, signal),
        RemoteProcess::make_call(0, SYS_rt_sigprocmask, SIG_UNBLOCK, set.address(), 0, kMaskBytes)};
    (void)process.syscalls(calls);  // no answer comes
  } else {
    (void)process.syscall(SYS_exit_group, WEXITSTATUS(status));
  }
  actors_.erase(number);
  const int waiter = waiter_of(image);
  notices_[waiter].insert(image.has_exit_signal() ? image.exit_signal() : SIGCHLD);
  CAIRN_ASSIGN(const auto info, actor(waiter).scratch_object(siginfo_t{}));
  CAIRN_TRY(
      actor(waiter).syscall(SYS_waitid, P_PID, pid, info.address(), WEXITED | WNOWAIT | __WALL, 0));
  CAIRN_ASSIGN(const auto ended, actor(waiter).read_object<siginfo_t>(info.address()));
  const bool same = WIFSIGNALED(status)
                        ? ended.si_code != CLD_EXITED && ended.si_status == WTERMSIG(status)
                        : ended.si_code == CLD_EXITED && ended.si_status == WEXITSTATUS(status);
  if (!same)
    return refusal("process " + std::to_string(image.pid()) + " did not end again as it had");
  return {};
}

// What is pending for a parent is in its record: the signals that just came are not.
Result<> Builder::forget_notices() {
  for (const auto& [number, signals] : notices_) {
    RemoteProcess& process = actor(number);
    CAIRN_ASSIGN(const auto no_wait, process.scratch_object(timespec{}));
    for (const int signal : signals) {
      if (signal == 0) continue;
      CAIRN_ASSIGN(const auto set, process.scratch_object(bit(signal)));
      auto taken =
          process.syscall(SYS_rt_sigtimedwait, set.address(), 0, no_wait.address(), kMaskBytes);
      while (taken)
        taken =
            process.syscall(SYS_rt_sigtimedwait, set.address(), 0, no_wait.address(), kMaskBytes);
      if (taken.error().code != EAGAIN) return Failure(taken.error());
    }
  }
  return {};
}

Result<> Builder::bind_id(std::int32_t saved, std::int32_t real) {
  if (saved == real || saved <= 0) return {};
  // by_real comes second: who finds a virtual id there can use it at once.
  if (ids_.by_virtual.insert(saved, real) != real || ids_.by_real.insert(real, saved) != saved)
    return refusal("process " + std::to_string(saved) + " cannot have its number again");
  ids_.used.store(1);
  return {};
}

Result<> Builder::bind_group(std::int32_t saved, std::int32_t real) {
  // The kernel shows 0 for a session whose leader is outside of this pid namespace (a container
  // that was entered): there is no number to bind, and natively nobody could name it either.
  if (saved == real || saved <= 0 || real <= 0) return {};
  // Where two numbers were one, or are one now, the first stays.
  if (ids_.groups_by_virtual.insert(saved, real) == 0 ||
      ids_.groups_by_real.insert(real, saved) == 0)
    return refusal("process group " + std::to_string(saved) + " cannot have its number again");
  ids_.used.store(1);
  return {};
}

Result<> Builder::bind() {
  for (std::size_t i = 0; i < saved().size(); ++i)
    CAIRN_TRY(bind_id(saved()[i].pid(), pids_.at(static_cast<int>(i))));
  for (const auto& [id, number] : tree_.stands) CAIRN_TRY(bind_group(id, pids_.at(number)));
  // Whoever restarts may lead its session, so that its group and its session are one number, where
  // those of the job's start were two; or the other way round.
  CAIRN_TRY(bind_group(plan_.origin.group, group_));
  return bind_group(plan_.origin.session, session_);
}

Result<> Builder::build(RemoteProcess starter) {
  auto tree = resources::plan_tree(saved(), plan_.origin);
  if (tree) tree_ = std::move(*tree);
  pids_[tree_.starter] = starter.pid().value;
  actors_.emplace(tree_.starter, std::move(starter));
  if (!tree) return Failure(tree.error());
  CAIRN_TRY(look_around());
  for (const TreeStep& step : tree_.steps) CAIRN_TRY(take(step));
  for (std::size_t i = 0; i < saved().size(); ++i)
    if (saved()[i].zombie())
      CAIRN_TRY(end_as_saved(static_cast<int>(i)));
    else if (saved()[i].continued())
      CAIRN_TRY(be_continued(static_cast<int>(i)));
  CAIRN_TRY(forget_notices());
  return bind();
}

Tree Builder::result() {
  Tree built;
  for (auto& [number, process] : actors_) {
    if (static_cast<std::size_t>(number) < saved().size())
      built.processes.push_back(std::move(process));
    else
      built.stand_in = std::move(process);
  }
  return built;
}

}  // namespace

Newborns::~Newborns() {
  for (const Birth& birth : born_)
    if (birth.start_time != 0 && process_start_time(birth.pid.value) == birth.start_time)
      ::kill(birth.pid.value, SIGKILL);
}

void Newborns::add(RealPid pid) {
  born_.push_back({pid, process_start_time(pid.value)});
}

Result<> build_tree(const Plan& plan, ConnectionQueue& connections, RemoteProcess starter,
                    abi::IdTable& ids, Newborns& newborns, Tree& tree) {
  Builder builder(plan, connections, ids, newborns);
  const auto built = builder.build(std::move(starter));
  tree = builder.result();
  return built;
}

}  // namespace cairn::restart
