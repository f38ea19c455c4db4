// Paths that lead into a process's directory of /proc: the pids in them are the guest's, "exe" is
// the guest's program and not the runtime, and some files hold what the guest sees differently.
// Every path argument of every call comes here; one that leads elsewhere costs a look at its first
// bytes. Pseudo terminals are looked for once one has another number than the kernel's.

#include "runtime/handlers/path.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/proc_name.h"
#include "runtime/handlers/proc_text.h"
#include "runtime/handlers/pty_name.h"
#include "runtime/host/support.h"
#include "runtime/loader/start.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"
#include "syscalls/table.gen.h"

namespace cairn::runtime {
namespace {

using syscalls::Role;

constexpr std::uint64_t kAtFdcwd = static_cast<std::uint64_t>(-100);
constexpr std::uint64_t kONofollow = 0x20000, kOCloexec = 0x80000, kOPath = 0x200000,
                        kODirectory = 0x10000, kOAccess = 3, kOTrunc = 0x200;

// Calls that can stop at a symbolic link instead of following it: the argument and the bit that say
// so (argument -1: always; bit 0 with kUnlessSet: only a set AT_SYMLINK_FOLLOW follows).
struct LinkRule {
  std::uint32_t number;
  std::int8_t argument;
  std::uint32_t bit;
  bool follows_if_set;
};
constexpr std::uint32_t kNofollow = 0x100, kFollow = 0x400;
constexpr LinkRule kLinkRules[] = {{__NR_lstat, -1, 0, false},
                                   {__NR_lchown, -1, 0, false},
                                   {__NR_lgetxattr, -1, 0, false},
                                   {__NR_lsetxattr, -1, 0, false},
                                   {__NR_llistxattr, -1, 0, false},
                                   {__NR_lremovexattr, -1, 0, false},
                                   {__NR_link, -1, 0, false},
                                   {__NR_linkat, 4, kFollow, true},
                                   {__NR_open, 1, kONofollow, false},
                                   {__NR_openat, 2, kONofollow, false},
                                   {__NR_newfstatat, 3, kNofollow, false},
                                   {__NR_statx, 2, kNofollow, false},
                                   {439 /* faccessat2 */, 3, kNofollow, false},
                                   {__NR_fchownat, 4, kNofollow, false},
                                   {__NR_utimensat, 3, kNofollow, false},
                                   {452 /* fchmodat2 */, 3, kNofollow, false},
                                   {__NR_name_to_handle_at, 4, kFollow, true},
                                   {428 /* open_tree */, 2, kNofollow, false},
                                   {467 /* open_tree_attr */, 2, kNofollow, false},
                                   {442 /* mount_setattr */, 2, kNofollow, false},
                                   {433 /* fspick */, 2, 2, false},
                                   {__NR_fanotify_mark, 1, 4, false},
                                   {463 /* setxattrat */, 2, kNofollow, false},
                                   {464 /* getxattrat */, 2, kNofollow, false},
                                   {465 /* listxattrat */, 2, kNofollow, false},
                                   {466 /* removexattrat */, 2, kNofollow, false},
                                   {468 /* file_getattr */, 4, kNofollow, false},
                                   {469 /* file_setattr */, 4, kNofollow, false}};

// struct open_how
struct OpenHow {
  std::uint64_t flags, mode, resolve;
};

bool is_open(std::uint64_t number) {
  return number == __NR_open || number == __NR_openat || number == 437 /* openat2 */;
}

bool follows_links(const ThreadBlock* t) {
  if (t->rax == 437) return (open_flags(t) & kONofollow) == 0;
  const std::uint64_t args[6] = {t->rdi, t->rsi, t->rdx, t->r10, t->r8, t->r9};
  for (const LinkRule& rule : kLinkRules) {
    if (rule.number != t->rax) continue;
    if (rule.argument < 0) return false;
    return ((args[rule.argument] & rule.bit) != 0) == rule.follows_if_set;
  }
  return true;
}

// The program that a process runs, for its "exe". Another process of the job has it where this one
// has it: the same runtime lies at the same address. Who may not read it may not read the link
// either.
bool executable_of(ThreadBlock* t, const ProcName& name, char* out, std::uint64_t room) {
  if (!string_equal(name.entry, "exe")) return false;
  if (names_own_process(t, name)) return string_copy(out, room, g_executable);
  char link[48], theirs[512], ours[512];
  append(append_decimal(append(link, "/proc/"), name.process), "/exe");
  auto length = sys::call(__NR_readlink, sys::address(link), sys::address(theirs), sizeof(theirs));
  auto own = sys::call(__NR_readlink, sys::address("/proc/thread-self/exe"), sys::address(ours),
                       sizeof(ours));
  if (!length.ok() || !own.ok() || length.value() != own.value() ||
      memcmp(theirs, ours, own.value()) != 0)
    return false;  // no process of ours
  std::uint64_t here[2] = {sys::address(out), room}, there[2] = {sys::address(g_executable), room};
  auto got = sys::call(__NR_process_vm_readv, static_cast<std::uint64_t>(name.process),
                       sys::address(here), 1, sys::address(there), 1, 0);
  return got.ok() && got.value() == room && out[0] == '/';
}

// The guest opens a file of /proc whose text may have to be another one for it.
Action open_text(ThreadBlock* t, const ProcName& name, std::uint64_t flags) {
  auto fd =
      sys::call(t->tail.number, t->tail.args[0], t->tail.args[1], t->tail.args[2], t->tail.args[3]);
  if (!fd.ok()) return done(t, fd.raw);
  return done(t, stand_in_for(t, static_cast<int>(fd.value()), name, (flags & kOCloexec) != 0));
}

bool opens_text(ThreadBlock* t, const ProcName& name) {
  constexpr std::uint64_t kOther = kOPath | kODirectory | kOAccess | kOTrunc;
  return is_open(t->rax) && (open_flags(t) & kOther) == 0 && text_may_differ(t, name);
}

}  // namespace

Action path_by_roles(ThreadBlock* t) {
  pass(t);
  const syscalls::Row& row = syscalls::kTable[t->rax & 0xffffffff];
  int buffer = 0;
  for (int i = 0; i < 6; ++i) {
    if (row.args[i] != Role::kPath) continue;
    bool at = i > 0 && row.args[i - 1] == Role::kDirfd;
    ProcName name;
    char* rewritten = t->path_argument[buffer];
    std::uint64_t dirfd = at ? t->tail.args[i - 1] : kAtFdcwd;
    if (!read_proc_name(t, dirfd, t->tail.args[i], rewritten, &name)) {
      if (with_real_pty(dirfd, t->tail.args[i], rewritten))
        t->tail.args[i] = sys::address(rewritten), buffer = 1;
      continue;
    }
    // The rewritten text in the end, unless it is what the guest wrote.
    if (ids_shifted()) t->tail.args[i] = sys::address(rewritten), buffer = 1;
    if (opens_text(t, name)) return open_text(t, name, open_flags(t));
    if (!string_equal(name.entry, "exe") || !follows_links(t)) continue;
    char program[sizeof(g_executable)];
    if (!executable_of(t, name, program, sizeof(program))) continue;
    string_copy(rewritten, kPathRoom, program);
    t->tail.args[i] = sys::address(rewritten);
    buffer = 1;
  }
  return Action::kTail;
}

namespace {

// ---- links
// ---------------------------------------------------------------------------------------------

Action give_text(ThreadBlock* t, const char* text, std::uint64_t length, std::uint64_t to,
                 std::uint64_t room) {
  if (static_cast<std::int32_t>(room) <= 0) return done(t, -kEINVAL);
  if (length > room) length = room;
  int failed = copy_to_guest(to, text, length);
  return done(t, failed != 0 ? failed : static_cast<std::int64_t>(length));
}

// What a link under /proc leads to may be under /proc itself, with the kernel's ids, or be the file
// that stands in for another one.
std::int64_t after_read_link(ThreadBlock* t, std::int64_t result) {
  bool at = t->rax == __NR_readlinkat;
  std::uint64_t to = at ? t->rdx : t->rsi, room = at ? t->r10 : t->rdx;
  char link[512];
  if (result < 7 || result >= static_cast<std::int64_t>(sizeof(link))) return result;
  auto length = static_cast<std::uint64_t>(result);
  if (copy_from_guest(link, to, 7) != 0) return result;
  if (memcmp(link, "/proc/", 6) != 0 && memcmp(link, "/memfd:", 7) != 0) return result;
  if (copy_from_guest(link, to, length) != 0) return result;
  const char* text = nullptr;
  char translated[600];
  std::int64_t other = stands_in_for(link, length, &text);
  if (other < 0 && ids_shifted()) {
    other = with_virtual_ids(link, length, translated, sizeof(translated));
    text = translated;
  }
  if (other < 0) return result;
  if (other > static_cast<std::int64_t>(room)) other = static_cast<std::int64_t>(room);
  return copy_to_guest(to, text, static_cast<std::uint64_t>(other)) != 0 ? -kEFAULT : other;
}

bool is_self_link(ThreadBlock* t, std::uint64_t from, char* out) {
  char path[32];
  if (string_from_guest(path, sizeof(path), from) < 0) return false;
  bool thread = string_equal(path, "/proc/thread-self");
  if (!thread && !string_equal(path, "/proc/self")) return false;
  char* at = append_decimal(out, t->process->virtual_pid);
  if (thread) append_decimal(append(at, "/task/"), t->virtual_tid);
  return true;
}

// What leads to a terminal of another number is told here, since the kernel's text may be longer:
// nothing of it is to be left in the guest's memory.
Action look_at_link(ThreadBlock* t, std::uint64_t dirfd, std::uint64_t path, std::uint64_t to,
                    std::uint64_t room) {
  char text[kPtyLinkRoom];
  if (read_pty_link(dirfd, path, text)) return give_text(t, text, string_length(text), to, room);
  t->post = after_read_link;
  return Action::kTail;
}

Action read_link(ThreadBlock* t, int index) {
  std::uint64_t args[4] = {t->rdi, t->rsi, t->rdx, t->r10};
  std::uint64_t dirfd = index > 0 ? args[index - 1] : kAtFdcwd, to = args[index + 1],
                room = args[index + 2];
  pass(t);
  ProcName name;
  char* rewritten = t->path_argument[0];
  if (!read_proc_name(t, dirfd, args[index], rewritten, &name)) {
    if (with_real_pty(dirfd, args[index], rewritten))
      t->tail.args[index] = sys::address(rewritten);
    // A link of an open directory, as "3" of /proc/self/fd, needs the look at the result.
    return look_at_link(t, dirfd, t->tail.args[index], to, room);
  }
  char text[sizeof(g_executable)];
  if (executable_of(t, name, text, sizeof(text)))
    return give_text(t, text, string_length(text), to, room);
  if (ids_shifted() && is_self_link(t, args[index], text))
    return give_text(t, text, string_length(text), to, room);
  if (ids_shifted()) t->tail.args[index] = sys::address(rewritten);
  return look_at_link(t, dirfd, t->tail.args[index], to, room);
}

Action readlink(ThreadBlock* t) {
  return read_link(t, 0);
}
Action readlinkat(ThreadBlock* t) {
  return read_link(t, 1);
}

}  // namespace

std::uint64_t open_flags(const ThreadBlock* t) {
  constexpr std::uint64_t kCreates = 0x241;  // O_WRONLY|O_CREAT|O_TRUNC
  if (t->rax == __NR_creat) return kCreates;
  if (t->rax == __NR_open) return t->rsi;
  if (t->rax == __NR_openat) return t->rdx;
  OpenHow how{};
  return copy_from_guest(&how, t->rdx, sizeof(how)) == 0 ? how.flags : kONofollow;
}

bool guest_executable(ThreadBlock* t, std::uint64_t dirfd, std::uint64_t path, char* out,
                      std::uint64_t room) {
  ProcName name;
  return read_proc_name(t, dirfd, path, t->path_argument[0], &name) &&
         executable_of(t, name, out, room);
}

const HandlerRow kPathHandlers[] = {{__NR_open, path_by_roles},
                                    {__NR_openat, path_by_roles},
                                    {437 /* openat2 */, path_by_roles},
                                    {__NR_creat, path_by_roles},
                                    {__NR_stat, path_by_roles},
                                    {__NR_lstat, path_by_roles},
                                    {__NR_newfstatat, path_by_roles},
                                    {__NR_statx, path_by_roles},
                                    {__NR_statfs, path_by_roles},
                                    {__NR_access, path_by_roles},
                                    {__NR_faccessat, path_by_roles},
                                    {439 /* faccessat2 */, path_by_roles},
                                    {__NR_chdir, path_by_roles},
                                    {__NR_chroot, path_by_roles},
                                    {__NR_truncate, path_by_roles},
                                    {__NR_chmod, path_by_roles},
                                    {__NR_fchmodat, path_by_roles},
                                    {452 /* fchmodat2 */, path_by_roles},
                                    {__NR_chown, path_by_roles},
                                    {__NR_lchown, path_by_roles},
                                    {__NR_fchownat, path_by_roles},
                                    {__NR_utime, path_by_roles},
                                    {__NR_utimes, path_by_roles},
                                    {__NR_futimesat, path_by_roles},
                                    {__NR_utimensat, path_by_roles},
                                    {__NR_link, path_by_roles},
                                    {__NR_linkat, path_by_roles},
                                    {__NR_setxattr, path_by_roles},
                                    {__NR_lsetxattr, path_by_roles},
                                    {__NR_getxattr, path_by_roles},
                                    {__NR_lgetxattr, path_by_roles},
                                    {__NR_listxattr, path_by_roles},
                                    {__NR_llistxattr, path_by_roles},
                                    {__NR_removexattr, path_by_roles},
                                    {__NR_lremovexattr, path_by_roles},
                                    {463 /* setxattrat */, path_by_roles},
                                    {464 /* getxattrat */, path_by_roles},
                                    {465 /* listxattrat */, path_by_roles},
                                    {466 /* removexattrat */, path_by_roles},
                                    {468 /* file_getattr */, path_by_roles},
                                    {469 /* file_setattr */, path_by_roles},
                                    {__NR_name_to_handle_at, path_by_roles},
                                    {__NR_fanotify_mark, path_by_roles},
                                    {__NR_mount, path_by_roles},
                                    {__NR_umount2, path_by_roles},
                                    {428 /* open_tree */, path_by_roles},
                                    {467 /* open_tree_attr */, path_by_roles},
                                    {429 /* move_mount */, path_by_roles},
                                    {433 /* fspick */, path_by_roles},
                                    {442 /* mount_setattr */, path_by_roles},
                                    {__NR_readlink, readlink},
                                    {__NR_readlinkat, readlinkat},
                                    {0, nullptr}};

}  // namespace cairn::runtime
