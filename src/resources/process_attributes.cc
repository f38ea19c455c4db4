#include "resources/process_attributes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <sstream>

#include "base/files.h"
#include "resources/credentials.h"
#include "resources/open_files.h"
#include "resources/removed_directory.h"

// Linux 6.4
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

namespace cairn::resources {
namespace {

constexpr std::array kLimitNames{
    "CPU time", "file size", "data", "stack", "core file size", "resident memory", "processes",
    "open files", "locked memory", "address space", "file locks", "pending signals",
    "message queues", "nice", "real-time priority", "real-time timeout"};

Result<std::string> read_link(const std::string& path) {
  std::string text(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  if (length < 0) return os_failure("read the link", path);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

Result<> capture_program(CaptureContext& context, const std::string& status) {
  auto& program = *context.image.mutable_program();
  program.set_executable(std::string(context.runtime->executable));
  CAIRN_ASSIGN(auto directory, read_link(context.process.proc_path("cwd")));
  struct stat info {};
  if (::stat(context.process.proc_path("cwd").c_str(), &info) != 0)
    return os_failure("look at the working directory", directory);
  if (is_removed_directory(info))
    identify_removed(info, directory, *program.mutable_removed_directory());
  else
    program.set_working_directory(std::move(directory));
  CAIRN_ASSIGN(auto root, read_link(context.process.proc_path("root")));
  CAIRN_ASSIGN(const auto ours, read_link("/proc/self/root"));
  if (root != ours) return refusal("a process with a root directory of its own cannot be saved:", root);
  program.set_root_directory(std::move(root));
  program.set_umask(static_cast<std::uint32_t>(
      std::strtoul(fdinfo_value(status, "Umask").c_str(), nullptr, 8)));
  program.set_name(fdinfo_value(status, "Name"));
  return {};
}

// Whole seconds of CPU time that restarts have added to the process's own.
rlim_t used_before(const abi::RuntimeState& state) {
  return static_cast<rlim_t>(std::max<std::int64_t>(state.process_cpu_offset_ns, 0) /
                             1'000'000'000);
}

// What is left of a limit of CPU time; never 0, which would be no second at all.
rlim_t rest_of(rlim_t limit, const image::ProcessImage& image) {
  const auto used =
      static_cast<rlim_t>(std::max<std::int64_t>(image.clocks().process_cpu().seconds(), 0));
  if (limit == RLIM_INFINITY) return limit;
  return limit > used ? limit - used : 1;
}

Result<> capture_limits(CaptureContext& context) {
  // Asked inside: from outside it takes a capability if the process has several ids.
  std::array<rlimit, kLimitNames.size()> limits{};
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(limits));
  std::vector<abi::LinkSyscall> calls;
  for (std::size_t resource = 0; resource < limits.size(); ++resource)
    calls.push_back(RemoteProcess::make_call(0, SYS_prlimit64, 0, resource, 0,
                                             place.address() + resource * sizeof(rlimit)));
  CAIRN_TRY(context.process.syscalls_all_ok(calls, "read the limits of the process"));
  CAIRN_ASSIGN(limits, context.process.read_object<decltype(limits)>(place.address()));
  for (int resource = 0; resource < std::ssize(kLimitNames); ++resource) {
    const rlimit& limit = limits[static_cast<std::size_t>(resource)];
    auto& record = *context.image.add_limits();
    // The kernel's limit of CPU time is for what was used since the last restart.
    const auto before = resource == RLIMIT_CPU ? used_before(*context.runtime) : 0;
    record.set_resource(resource);
    record.set_soft(limit.rlim_cur == RLIM_INFINITY ? RLIM_INFINITY : limit.rlim_cur + before);
    record.set_hard(limit.rlim_max == RLIM_INFINITY ? RLIM_INFINITY : limit.rlim_max + before);
  }
  return {};
}

// Linux 6.3
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

// A prctl that this kernel lacks answers EINVAL: then there is nothing to remember.
std::int64_t answer(const abi::LinkSyscall& call) { return call.result < 0 ? 0 : call.result; }

Result<> capture_controls(CaptureContext& context, const std::string& status) {
  auto& controls = *context.image.mutable_controls();
  CAIRN_ASSIGN(const auto place, context.process.scratch_object(std::uint64_t{0}));
  CAIRN_ASSIGN(const auto tsc, context.process.scratch_object(std::uint64_t{0}));
  std::array calls{
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_DUMPABLE),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_CHILD_SUBREAPER, place.address()),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_KEEPCAPS),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_TSC, tsc.address()),
      RemoteProcess::make_call(0, SYS_personality, 0xffffffffU),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_IO_FLUSHER, 0, 0, 0, 0),
      RemoteProcess::make_call(0, SYS_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0),
      RemoteProcess::make_call(0, SYS_prctl, PR_GET_SECUREBITS),
  };
  CAIRN_TRY(context.process.syscalls(calls));
  controls.set_dumpable(static_cast<std::int32_t>(answer(calls[0])));
  controls.set_thp_disable(answer(calls[1]) != 0);
  CAIRN_ASSIGN(const auto reaper, context.process.read_object<std::int32_t>(place.address()));
  controls.set_child_subreaper(reaper != 0);
  controls.set_keep_capabilities(answer(calls[3]) != 0);
  CAIRN_ASSIGN(const auto tsc_mode, context.process.read_object<std::uint32_t>(tsc.address()));
  controls.set_tsc_mode(tsc_mode);
  context.image.mutable_machine()->set_personality(static_cast<std::uint64_t>(answer(calls[5])));
  controls.set_memory_merge(static_cast<std::int32_t>(answer(calls[6])));
  controls.set_mdwe(answer(calls[7]));
  controls.set_io_flusher(static_cast<std::int32_t>(answer(calls[8])));
  if (calls[9].result >= 0) controls.set_mce_kill(static_cast<std::int32_t>(calls[9].result));
  context.image.mutable_credentials()->set_securebits(
      static_cast<std::uint32_t>(answer(calls[10])));
  controls.set_membarrier_registrations(context.runtime->membarrier);
  controls.set_mlockall_flags(context.runtime->lock_future);
  controls.set_no_new_privs(
      fdinfo_value(status, "NoNewPrivs") == "1" &&
      (context.runtime->seccomp_door & abi::kNoNewPrivsIsNotGuests) == 0);
  CAIRN_ASSIGN(const auto oom, read_text_file(context.process.proc_path("oom_score_adj")));
  controls.set_oom_score_adjust(std::atoi(oom.c_str()));
  CAIRN_ASSIGN(const auto filter, read_text_file(context.process.proc_path("coredump_filter")));
  // Empty once the first thread has ended: the new process keeps its own then.
  if (!filter.empty())
    controls.set_coredump_filter(
        static_cast<std::uint32_t>(std::strtoul(filter.c_str(), nullptr, 16)));
  return {};
}

// A soft limit above what this machine lets the user have. Most limits are the machine's own (computed
// from its memory in fork_init, or set by its login configuration), and a lower one here is no promise
// broken: what the process uses by now is made or refused by name elsewhere. Those of time and of file
// sizes are somebody's decision about this very program.
bool may_be_lower_here(__rlimit_resource resource) { return resource != RLIMIT_CPU && resource != RLIMIT_FSIZE; }

Result<> restore_limits(RebuildContext& context) {
  const auto pid = context.process.pid().value;
  for (const auto& record : context.image.limits()) {
    const auto resource = static_cast<__rlimit_resource>(record.resource());
    rlimit now{};
    rlimit wanted{record.soft(), record.hard()};
    if (resource == RLIMIT_CPU)
      wanted = {rest_of(record.soft(), context.image), rest_of(record.hard(), context.image)};
    if (::prlimit(pid, resource, nullptr, &now) != 0) return os_failure("read a limit");
    // A hard limit that is lower here stays so, as long as what the process uses is not above it.
    if (wanted.rlim_max > now.rlim_max && ::prlimit(pid, resource, &wanted, nullptr) != 0) {
      wanted.rlim_max = now.rlim_max;
      if (may_be_lower_here(resource)) wanted.rlim_cur = std::min(wanted.rlim_cur, now.rlim_max);
      if (wanted.rlim_cur > wanted.rlim_max)
        return refusal(fmt::format("the limit of {} is lower here ({}) than what the process had ({})",
                                   kLimitNames.at(static_cast<std::size_t>(record.resource())),
                                   now.rlim_max, record.soft()));
    }
    if ((now.rlim_cur != wanted.rlim_cur || now.rlim_max != wanted.rlim_max) &&
        ::prlimit(pid, resource, &wanted, nullptr) != 0)
      return os_failure("set the limit of",
                        kLimitNames.at(static_cast<std::size_t>(record.resource())));
  }
  return {};
}

// What is told to the kernel once and holds from then on.
Result<> register_again(RebuildContext& context) {
  const auto& controls = context.image.controls();
  std::vector<abi::LinkSyscall> calls;
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1)
    if ((controls.membarrier_registrations() & bit) != 0)
      calls.push_back(RemoteProcess::make_call(0, SYS_membarrier, bit, 0, 0));
  if (controls.mlockall_flags() != 0)
    calls.push_back(RemoteProcess::make_call(0, SYS_mlockall, controls.mlockall_flags()));
  // The last thing that may be done with memory: nothing becomes executable any more.
  if (controls.mdwe() != 0)
    calls.push_back(RemoteProcess::make_call(0, SYS_prctl, PR_SET_MDWE, controls.mdwe(), 0, 0, 0));
  return context.process.syscalls_all_ok(
      calls, "register the process's memory barriers, future locks and MDWE");
}

Result<> restore_controls(RebuildContext& context) {
  const auto& controls = context.image.controls();
  std::vector<abi::LinkSyscall> calls;
  auto add = [&](long number, auto... arguments) {
    calls.push_back(RemoteProcess::make_call(0, number, arguments...));
  };
  add(SYS_umask, context.image.program().umask());
  add(SYS_personality, context.image.machine().personality());
  add(SYS_prctl, PR_SET_CHILD_SUBREAPER, controls.child_subreaper() ? 1 : 0, 0, 0, 0);
  if (controls.thp_disable()) add(SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (controls.keep_capabilities()) add(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (controls.no_new_privs()) add(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (controls.tsc_mode() == PR_TSC_SIGSEGV) add(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
  if (controls.memory_merge() != 0) add(SYS_prctl, PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
  if (controls.io_flusher() != 0) add(SYS_prctl, PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  if (controls.has_mce_kill() && controls.mce_kill() != PR_MCE_KILL_DEFAULT)
    add(SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, controls.mce_kill(), 0, 0);
  CAIRN_TRY(context.process.syscalls_all_ok(calls, "give the process its attributes"));
  return register_again(context);
}

Result<> restore_working_directory(RebuildContext& context) {
  const auto& program = context.image.program();
  if (program.has_removed_directory()) {
    CAIRN_ASSIGN(const int removed, removed_directory(context, program.removed_directory()));
    return lend(context, removed, [&](int number) -> Result<> {
      CAIRN_TRY(context.process.syscall(SYS_fchdir, number));
      return {};
    });
  }
  CAIRN_ASSIGN(const auto place, context.process.scratch_text(program.working_directory()));
  const auto changed = context.process.syscall(SYS_chdir, place.address());
  if (!changed)
    return failure(changed.error().code, "go to the working directory",
                   program.working_directory());
  return {};
}

Result<> restore_proc_values(RebuildContext& context) {
  const auto& controls = context.image.controls();
  auto put = [&](const char* entry, const std::string& value) -> Result<> {
    const auto path = context.process.proc_path(entry);
    CAIRN_ASSIGN(auto now, read_text_file(path));
    if (now.ends_with('\n')) now.pop_back();
    if (std::strtoll(now.c_str(), nullptr, 0) == std::strtoll(value.c_str(), nullptr, 0)) return {};
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid()) return os_failure("open", path);
    return write_all(fd.get(), value);
  };
  CAIRN_TRY(put("oom_score_adj", std::to_string(controls.oom_score_adjust())));
  if (!controls.has_coredump_filter()) return {};
  return put("coredump_filter", fmt::format("{:#x}", controls.coredump_filter()));
}

}  // namespace

Result<> refuse_unsupported(CaptureContext& context) {
  CAIRN_ASSIGN(const auto status, read_text_file(context.process.proc_path("status")));
  const auto pid = context.process.pid().value;
  if (fdinfo_value(status, "Seccomp") != "0" && (context.runtime->seccomp_door & abi::kFilterIsDoors) == 0)
    return refusal(fmt::format("process {} has a seccomp filter, and cannot be saved", pid));
  for (const char* space : {"mnt", "net", "pid", "ipc", "uts", "user", "cgroup", "time"}) {
    const auto theirs = read_link(context.process.proc_path(fmt::format("ns/{}", space)));
    const auto ours = read_link(fmt::format("/proc/self/ns/{}", space));
    if (theirs && ours && *theirs != *ours)
      return refusal(fmt::format("process {} has a {} namespace of its own, and cannot be saved", pid,
                                 space));
  }
  return {};
}

Result<> capture_attributes(CaptureContext& context) {
  CAIRN_ASSIGN(const auto status, read_text_file(context.process.proc_path("status")));
  CAIRN_TRY(capture_program(context, status));
  capture_credentials(status, *context.image.mutable_credentials());
  CAIRN_TRY(capture_limits(context));
  return capture_controls(context, status);
}

Result<> raise_file_limit(RebuildContext& context) {
  rlimit limit{};
  const auto pid = context.process.pid().value;
  if (::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) != 0) return os_failure("read a limit");
  limit.rlim_cur = limit.rlim_max;
  if (::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr) != 0)
    return os_failure("raise the limit of open files");
  return {};
}

// dumpable comes last: without it the agent loses access to the process' memory and /proc entries.
Result<> restore_attributes(RebuildContext& context) {
  CAIRN_TRY(restore_controls(context));
  CAIRN_TRY(restore_working_directory(context));
  CAIRN_TRY(restore_limits(context));
  CAIRN_TRY(restore_proc_values(context));
  CAIRN_TRY(restore_credentials(context));
  const int dumpable = context.image.controls().dumpable();
  if (dumpable != 1 || ::geteuid() == 0)  // root may have changed the ids, and so this
    CAIRN_TRY(context.process.syscall(SYS_prctl, PR_SET_DUMPABLE, dumpable == 0 ? 0 : 1));
  return {};
}

}  // namespace cairn::resources
