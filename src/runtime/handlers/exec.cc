// execve under Cairn: the runtime again, with the program's open file.
//
// The caller must see exactly the error that the kernel would give, and after the point of no return
// there must be none. So everything that can fail is tried here first; what is no 64-bit program or
// script of ours is handed to the kernel as it is: its answer is the right one, and if it does start
// it (binfmt_misc, 32-bit, set-uid) the process is reported as one that cannot be saved.

#include "runtime/handlers/exec.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/path.h"
#include "runtime/handlers/robust_list.h"
#include "runtime/handlers/seccomp.h"
#include "runtime/handlers/tracer.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "runtime/intercept/deliver.h"
#include "runtime/intercept/door.h"
#include "runtime/intercept/front.h"
#include "runtime/intercept/held_signals.h"
#include "runtime/loader/boot_options.h"
#include "runtime/loader/program.h"
#include "runtime/loader/start.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kAtFdcwd = static_cast<std::uint64_t>(-100);
constexpr std::uint64_t kAtEmptyPath = 0x1000, kAtSymlinkNofollow = 0x100;
constexpr std::uint64_t kOpenFlags = 0x80000;  // O_RDONLY|O_CLOEXEC
constexpr int kScriptDepth = 5;                // the kernel's limit of nested interpreters

struct ExecCall {
  std::uint64_t dirfd;
  std::uint64_t path;
  std::uint64_t argv;
  std::uint64_t envp;
  std::uint64_t flags;
  bool at;  // execveat
};

// Host memory for one exec; a failed one gives it back.
struct ExecWork {
  char path[4096];
  char own[4096];  // the program that the path means, if it is a link of /proc; else empty
  char boot[1024];
  char names[kScriptDepth][2][4096];  // interpreter and script of each level
  std::uint64_t inserted[kScriptDepth * 2 + 4];
  std::uint64_t* vector;
  std::uint64_t vector_bytes;
};

ExecWork* map_work() {
  auto at = map_host(sizeof(ExecWork));
  return at.ok() ? reinterpret_cast<ExecWork*>(at.value()) : nullptr;
}

void unmap_work(ExecWork* work) {
  if (work->vector != nullptr) unmap_host(sys::address(work->vector), work->vector_bytes);
  unmap_host(sys::address(work), sizeof(ExecWork));
}

std::int64_t guest_count(std::uint64_t list) {
  if (list == 0) return 0;
  for (std::int64_t n = 0;; ++n) {
    std::uint64_t entry = 0;
    if (copy_from_guest(&entry, list + static_cast<std::uint64_t>(n) * 8, 8) != 0) return -kEFAULT;
    if (entry == 0) return n;
  }
}

// The kernel's own exec of what the guest asked for.
std::int64_t native(const ExecCall& call) {
  if (call.at) return sys::call(__NR_execveat, call.dirfd, call.path, call.argv, call.envp, call.flags).raw;
  return sys::call(__NR_execve, call.path, call.argv, call.envp).raw;
}

// A program that runs without us: its slot says so before, and again what it was if it fails. The
// kernel's actions for host-owned signals are made the guest's own, since exec keeps SIG_IGN alone.
std::int64_t native_after_marking(ThreadBlock* t, const ExecCall& call) {
  for (int signal = 1; signal <= 64; ++signal) {
    bool ours = kernel_action_is_ours(signal);
    if (!ours || read_action(t->sighand, signal).handler != kSigIgn) continue;
    KernelSigaction ignore{kSigIgn, 0, 0, 0};
    (void)sys::call(__NR_rt_sigaction, static_cast<std::uint64_t>(signal), sys::address(&ignore), 0, 8);
  }
  std::uint64_t mask = t->guest_mask;
  std::uint64_t hidden = mask & ~kHostSignals;
  mark_unsupported(t->process, "runs a set-uid or 32-bit program natively");
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&mask), 0, 8);
  RobustUndo undo;
  leave_robust_list_for_exec(t, &undo);
  begin_to_be_traced(t);
  std::int64_t failed = native(call);
  take_back_robust_list(undo);
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&hidden), 0, 8);
  unmark_unsupported(t->process);
  install_host_actions();
  return failed;
}

struct Stat {
  std::uint64_t dev, ino, nlink;
  std::uint32_t mode, uid, gid, pad;
  std::uint64_t rest[15];
};

bool changes_privileges(int fd) {
  constexpr std::uint32_t kSetUid = 04000, kSetGid = 02000, kGroupExec = 010;
  Stat st{};
  if (!sys::call(__NR_fstat, static_cast<std::uint64_t>(fd), sys::address(&st)).ok()) return false;
  auto euid = static_cast<std::uint32_t>(sys::call(__NR_geteuid).raw);
  auto egid = static_cast<std::uint32_t>(sys::call(__NR_getegid).raw);
  if ((st.mode & kSetUid) != 0 && st.uid != euid) return true;
  if ((st.mode & (kSetGid | kGroupExec)) == (kSetGid | kGroupExec) && st.gid != egid) return true;
  char value[64];
  bool capabilities = sys::call(__NR_fgetxattr, static_cast<std::uint64_t>(fd),
                                sys::address("security.capability"), sys::address(value), sizeof(value))
                          .ok();
  return capabilities && euid != 0;
}

// What only the kernel can tell, as ETXTBSY: it says so since 6.14 (AT_EXECVE_CHECK).
std::int64_t check_by_kernel(std::uint64_t fd) {
  constexpr std::uint64_t kAtExecveCheck = 0x10000;
  const char* argv[] = {"", nullptr};
  auto checked = sys::call(__NR_execveat, fd, sys::address(""), sys::address(argv), 0,
                           kAtEmptyPath | kAtExecveCheck);
  return checked.ok() || checked.error() == kEINVAL ? 0 : checked.raw;
}

// Opens and checks what the kernel would check: a regular file with the x bit on an exec mount.
std::int64_t open_program(const ExecCall& call, const char* path) {
  std::uint64_t directory = call.at ? call.dirfd : kAtFdcwd;
  std::uint64_t nofollow = (call.flags & kAtSymlinkNofollow) != 0 ? 0x20000 : 0;
  bool by_fd = path[0] == 0 && (call.flags & kAtEmptyPath) != 0;
  sys::SysResult fd{};
  if (by_fd) {
    char link[64];
    append_decimal(append(link, "/proc/thread-self/fd/"), static_cast<std::int64_t>(call.dirfd));
    fd = sys::call(__NR_open, sys::address(link), kOpenFlags);
  } else {
    fd = sys::call(__NR_openat, directory, sys::address(path), kOpenFlags | nofollow | 0x800);
  }
  if (!fd.ok()) return fd.raw;
  Stat st{};
  (void)sys::call(__NR_fstat, fd.value(), sys::address(&st));
  auto refused = sys::call(439 /* faccessat2 */, fd.value(), sys::address(""), 1, kAtEmptyPath | 0x200);
  bool regular = (st.mode & 0170000) == 0100000;
  if (!refused.ok() && refused.error() == kENOSYS)  // before 5.8: without AT_EACCESS
    refused = by_fd ? sys::SysResult{0} : sys::call(__NR_faccessat, directory, sys::address(path), 1);
  std::int64_t result = regular && refused.ok() ? check_by_kernel(fd.value()) : -kEACCES;
  if (result == 0) return fd.raw;
  (void)sys::call(__NR_close, fd.value());
  return result;
}

std::int64_t check_interpreter(int fd) {
  // PT_INTERP must open: afterwards it is too late to say ENOENT.
  char path[256];
  auto found = interpreter_of(fd, path, sizeof(path));
  if (!found.ok()) return found.raw;
  if (path[0] == 0) return 0;
  auto opened = sys::call(__NR_open, sys::address(path), kOpenFlags);
  if (!opened.ok()) return opened.raw;
  (void)sys::call(__NR_close, opened.value());
  return 0;
}

bool below_descriptor(const ExecCall& call, const char* path) {
  return call.at && path[0] != '/' && static_cast<std::int32_t>(call.dirfd) != static_cast<std::int32_t>(kAtFdcwd);
}

// A script's interpreter will open it by a descriptor that the exec closes.
bool gone_after_exec(const ExecCall& call, const char* path) {
  constexpr std::uint64_t kGetFlags = 1, kCloseOnExec = 1;
  return below_descriptor(call, path) &&
         (sys::call(__NR_fcntl, call.dirfd, kGetFlags).raw & static_cast<std::int64_t>(kCloseOnExec)) != 0;
}

// Follows #! lines: on success *fd is the ELF program and work->inserted what goes before argv[1].
std::int64_t resolve(const ExecCall& call, ExecWork* work, int* out_fd, std::uint32_t* inserted) {
  *inserted = 0;
  ExecCall current = call;
  const char* path = work->path;
  for (int depth = 0; depth < kScriptDepth; ++depth) {
    bool own = depth == 0 && work->own[0] != 0;
    std::int64_t fd = open_program(current, own ? work->own : path);
    if (fd < 0) return fd;
    ProgramFile file;
    auto inspected = inspect_program(static_cast<int>(fd), &file);
    *out_fd = static_cast<int>(fd);
    if (!inspected.ok() || file.is_elf64) return inspected.raw;
    (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
    *out_fd = -1;
    if (depth == 0 && gone_after_exec(current, path)) return -kENOENT;
    // [interpreter, argument, script] in front of what is there, whose first entry (the old argv[0]
    // or the script's own name) falls away.
    std::uint64_t head[3];
    std::uint32_t n = 0;
    string_copy(work->names[depth][0], 4096, file.script_interpreter);
    head[n++] = sys::address(work->names[depth][0]);
    if (file.script_argument[0] != 0) {
      string_copy(work->names[depth][1], 4096, file.script_argument);
      head[n++] = sys::address(work->names[depth][1]);
    }
    std::uint32_t kept = *inserted > 0 ? *inserted - 1 : 0;
    if (*inserted > 0) head[n++] = work->inserted[0];
    else head[n++] = sys::address(work->path);
    memmove(work->inserted + n, work->inserted + 1, kept * 8);
    memcpy(work->inserted, head, n * 8);
    *inserted = n + kept;
    path = work->names[depth][0];
    current.at = false;
    current.flags = 0;
  }
  return -kELOOP;
}

// {"cairn-runtime", boot, path, argv...}
std::int64_t build_arguments(const ExecCall& call, ExecWork* work, std::uint32_t inserted) {
  std::int64_t argc = guest_count(call.argv);
  if (argc < 0) return argc;
  std::uint64_t words = static_cast<std::uint64_t>(argc) + inserted + 8;
  work->vector_bytes = (words * 8 + 4095) & ~4095ULL;
  auto at = map_host(work->vector_bytes);
  if (!at.ok()) return at.raw;
  work->vector = reinterpret_cast<std::uint64_t*>(at.value());
  std::uint64_t n = 0;
  work->vector[n++] = sys::address("cairn-runtime");
  work->vector[n++] = sys::address(work->boot);
  work->vector[n++] = sys::address(work->path);
  for (std::uint32_t i = 0; i < inserted; ++i) work->vector[n++] = work->inserted[i];
  std::uint64_t skip = inserted > 0 ? 1 : 0;
  std::uint64_t kept = static_cast<std::uint64_t>(argc) > skip ? static_cast<std::uint64_t>(argc) - skip : 0;
  if (kept > 0 && copy_from_guest(work->vector + n, call.argv + skip * 8, kept * 8) != 0) return -kEFAULT;
  n += kept;
  if (argc == 0 && inserted == 0) work->vector[n++] = sys::address("");  // as kernels since 5.18
  work->vector[n] = 0;
  return 0;
}

// A path that begins at a descriptor, as fexecve's empty one: the kernel names it so for AT_EXECFN
// and scripts.
std::int64_t name_by_descriptor(const ExecCall& call, ExecWork* work) {
  if (!below_descriptor(call, work->path)) return 0;
  char name[32];
  char* end = append_decimal(append(name, "/dev/fd/"), static_cast<std::int32_t>(call.dirfd));
  if (work->path[0] != 0) end = append(end, "/");
  auto prefix = static_cast<std::uint64_t>(end - name);
  std::uint64_t length = string_length(work->path);
  if (prefix + length >= sizeof(work->path)) return -kENAMETOOLONG;
  memmove(work->path + prefix, work->path, length + 1);
  memcpy(work->path, name, prefix);
  return 0;
}

// The runtime again. All signals wait for the new image, which has the guest's mask from the boot
// string: until it has handlers, a park request would be death. One that came already, and waits for
// the door's way out, is to be taken before: kAgain.
std::int64_t exec_runtime(ThreadBlock* t, const ExecCall& call, ExecWork* work) {
  std::uint64_t all = ~0ULL, mask = t->guest_mask & ~kHostSignals;
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&all), 0, 8);
  if (__atomic_load_n(&t->deferred, __ATOMIC_RELAXED) != 0) return kAgain;
  RobustUndo undo;
  leave_robust_list_for_exec(t, &undo);
  hand_held_signals_to_kernel(t);
  begin_to_be_traced(t);
  std::int64_t failed =
      sys::call(__NR_execve, sys::address("/proc/self/exe"), sys::address(work->vector), call.envp).raw;
  if (failed == -kENOENT && job_attached())  // no /proc here
    failed = sys::call(__NR_execve, sys::address(abi::job_segment()->runtime_path),
                       sys::address(work->vector), call.envp)
                 .raw;
  take_back_robust_list(undo);
  (void)sys::call(__NR_rt_sigprocmask, kSigSetmask, sys::address(&mask), 0, 8);
  return failed;
}

std::int64_t run(ThreadBlock* t, const ExecCall& call, ExecWork* work) {
  int fd = -1;
  std::uint32_t inserted = 0;
  std::int64_t length = string_from_guest(work->path, sizeof(work->path), call.path);
  if (length < 0) return length;
  bool nameless = length == 0;
  if (!guest_executable(t, call.dirfd, call.path, work->own, sizeof(work->own))) work->own[0] = 0;
  std::int64_t resolved = resolve(call, work, &fd, &inserted);
  bool foreign = resolved == -kENOEXEC || resolved == -kEACCES;  // not ours, or not readable
  if (resolved < 0 && !foreign) return resolved;
  if (resolved == 0 && changes_privileges(fd)) {
    if (seccomp_installed()) {
      say("a set-uid program cannot be started under the seccomp fallback:", work->path);
      (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
      return -kEPERM;
    }
    foreign = true;
  }
  if (foreign) {
    if (fd >= 0) (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
    // A program that runs natively would run without the guest's own filters.
    if (t->filters != nullptr) return resolved < 0 ? resolved : -kEPERM;
    return native_after_marking(t, call);
  }
  std::int64_t failed = check_interpreter(fd);
  if (failed == 0) failed = name_by_descriptor(call, work);
  if (failed == 0) failed = build_arguments(call, work, inserted);
  std::int64_t filters = -1;
  if (failed == 0 && t->filters != nullptr) {
    filters = save_filters(t);
    if (filters < 0) failed = filters;
  }
  if (failed == 0) {
    write_boot_string(work->boot, sizeof(work->boot), {fd, static_cast<int>(filters), nameless});
    (void)sys::call(__NR_fcntl, static_cast<std::uint64_t>(fd), 2 /* F_SETFD */, 0);
    failed = exec_runtime(t, call, work);
  }
  if (filters >= 0) (void)sys::call(__NR_close, static_cast<std::uint64_t>(filters));
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(fd));
  return failed;
}

Action exec(ThreadBlock* t, const ExecCall& call) {
  ExecWork* work = map_work();
  if (work == nullptr) return done(t, -kENOMEM);
  std::int64_t result = run(t, call, work);
  unmap_work(work);
  return result == kAgain ? Action::kRetry : done(t, result);
}

}  // namespace

std::int64_t exec_program(ThreadBlock* t, const char* path, char** argv, char** envp) {
  ExecWork* work = map_work();
  if (work == nullptr) return -kENOMEM;
  return run(t, {kAtFdcwd, sys::address(path), sys::address(argv), sys::address(envp), 0, false}, work);
}

namespace {

Action execve(ThreadBlock* t) {
  return exec(t, {kAtFdcwd, t->rdi, t->rsi, t->rdx, 0, false});
}

Action execveat(ThreadBlock* t) { return exec(t, {t->rdi, t->rsi, t->rdx, t->r10, t->r8, true}); }

}  // namespace

const HandlerRow kExecHandlers[] = {{__NR_execve, execve}, {__NR_execveat, execveat}, {0, nullptr}};

}  // namespace cairn::runtime
