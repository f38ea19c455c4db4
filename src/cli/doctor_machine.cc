// Kernel, processor, installation and limits, as doctor sees them.

#include <fmt/format.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/job_registry.h"
#include "base/fd.h"
#include "base/files.h"
#include "cli/doctor_checks.h"
#include "cli/output.h"

namespace cairn::cli {
namespace {

constexpr int kSetSyscallUserDispatch = 59;   // PR_SET_SYSCALL_USER_DISPATCH, Linux 5.11
constexpr unsigned long kHwcap2Fsgsbase = 2;  // HWCAP2_FSGSBASE, Linux 5.9

Check good(std::string name, std::string detail) {
  return {std::move(name), Finding::kGood, std::move(detail), {}};
}
Check less(std::string name, std::string detail, std::string advice) {
  return {std::move(name), Finding::kLess, std::move(detail), std::move(advice)};
}
Check fails(std::string name, std::string detail, std::string advice) {
  return {std::move(name), Finding::kFails, std::move(detail), std::move(advice)};
}

bool has_dispatch() {
  return ::prctl(kSetSyscallUserDispatch, 0, 0, 0, 0) == 0;
}

bool has_seccomp_trap() {
  std::uint32_t action = SECCOMP_RET_TRAP;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

Check check_door() {
  const bool seccomp = has_seccomp_trap();
  if (has_dispatch()) return good("system calls", "caught by patches and Syscall User Dispatch");
  if (seccomp)
    return less("system calls", "no Syscall User Dispatch: a seccomp filter takes its place",
                "programs that are not patched (static, Go) run slower; Linux 5.11 has it");
  return fails("system calls", "neither Syscall User Dispatch nor seccomp filters",
               "only --mode=patch can be tried; run doctor outside of Cairn and of sandboxes");
}

// As the agent reads a process: from outside, not as its parent but as its user.
Check check_memory_reading() {
  int word = 4711;
  int copy = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    iovec local{&copy, sizeof copy};
    iovec remote{&word, sizeof word};
    const bool read = ::process_vm_readv(::getppid(), &local, 1, &remote, 1, 0) == sizeof copy;
    ::_exit(read && copy == word ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto yama = read_text_file("/proc/sys/kernel/yama/ptrace_scope");
  const std::string scope = yama ? yama->substr(0, 1) : "0";
  if (status == 0) return good("memory", "read from outside (process_vm_readv)");
  return less("memory", "cannot be read from outside (Yama ptrace_scope " + scope + ")",
              "processes hand their memory over themselves, which takes longer");
}

Check check_call(const std::string& name, bool there, const std::string& what,
                 const std::string& advice) {
  return there ? good(name, what) : fails(name, what + ": missing", advice);
}

Check check_run_directory() {
  agent::JobEntry entry;
  entry.job_id = agent::make_job_id();
  entry.first_pid = ::getpid();
  const auto made = agent::make_run_directory(entry);
  if (!made)
    return fails("run directory", made.error().message(),
                 "set XDG_RUNTIME_DIR to a directory of yours, or clear what is in the way");
  const std::string path = entry.run_directory.parent_path();
  agent::remove_run_directory(entry);
  return good("run directory", path);
}

std::string format_limit(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : format_bytes(limit);
}

Check check_limit(const std::string& name, __rlimit_resource resource, rlim_t enough,
                  const std::string& advice) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  if (limit.rlim_cur >= enough) return good(name, format_limit(limit.rlim_cur));
  return less(name, format_limit(limit.rlim_cur), advice);
}

}  // namespace

std::vector<Check> check_kernel() {
  utsname names{};
  ::uname(&names);
  const pid_t self = ::getpid();
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, self, 0)));
  return {good("kernel", std::string(names.sysname) + " " + names.release + " " + names.machine),
          check_door(), check_memory_reading(),
          check_call("pidfd", pidfd.valid(), "processes are watched by pidfd_open (Linux 5.3)",
                     "a newer kernel is needed"),
          check_call("kcmp", ::syscall(SYS_kcmp, self, self, KCMP_FILE, 0, 0) >= 0,
                     "shared descriptors are told apart by kcmp",
                     "the kernel was built without kcmp, or a sandbox forbids it")};
}

std::vector<Check> check_processor() {
  __builtin_cpu_init();
  const char* level = __builtin_cpu_supports("x86-64-v4")   ? "x86-64-v4"
                      : __builtin_cpu_supports("x86-64-v3") ? "x86-64-v3"
                      : __builtin_cpu_supports("x86-64-v2") ? "x86-64-v2"
                                                            : "x86-64";
  std::vector<Check> checks{
      good("processor", std::string(level) + "; an image needs what the program could have used")};
  const bool fsgsbase = (::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) != 0;
  checks.push_back(fsgsbase ? good("fsgsbase", "segment bases are set by the program")
                            : less("fsgsbase", "missing: segment bases are set by system calls",
                                   "all that passes the door is slower; Linux 5.9 enables it"));
  return checks;
}

std::vector<Check> check_installation() {
  std::vector<Check> checks;
  const auto runtime = companion_program("cairn-runtime");
  checks.push_back(
      runtime ? good("runtime", runtime->string())
              : fails("runtime", runtime.error().message(), "cairn-runtime must lie beside cairn"));
  const auto planner = companion_program("cairn-plan");
  checks.push_back(planner ? good("planner", planner->string())
                           : less("planner", planner.error().message(),
                                  "without cairn-plan beside cairn system calls cost more"));
  checks.push_back(check_run_directory());
  return checks;
}

std::vector<Check> check_limits() {
  constexpr rlim_t kAddressSpace = 8ULL << 30;
  return {check_limit("address space", RLIMIT_AS, kAddressSpace,
                      "the runtime reserves less, which some programs may notice (ulimit -v)"),
          check_limit("file size", RLIMIT_FSIZE, RLIM_INFINITY,
                      "a larger image cannot be written (ulimit -f)"),
          check_limit("locked memory", RLIMIT_MEMLOCK, 0, {})};
}

}  // namespace cairn::cli
