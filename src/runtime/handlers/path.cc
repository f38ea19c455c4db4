// Paths that name the process by its executable: the kernel's /proc/PID/exe is the runtime's file.

#include "runtime/handlers/path.h"

#include "runtime/handlers/dispatch.h"
#include "runtime/host/support.h"
#include "runtime/loader/start.h"
#include "runtime/restorer/ids.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

// Skips "<decimal>" equal to `number`; nullptr if it is not there.
const char* skip_number(const char* at, std::int32_t number) {
  char text[16];
  char* end = append_decimal(text, number);
  if (!starts_with(at, text)) return nullptr;
  return at + (end - text);
}

// Behind "/proc/self/", "/proc/thread-self/" or "/proc/<own pid>/", else nullptr.
const char* own_proc_entry(const ThreadBlock* t, const char* path) {
  if (!starts_with(path, "/proc/")) return nullptr;
  const char* at = path + 6;
  if (starts_with(at, "self/")) return at + 5;
  if (starts_with(at, "thread-self/")) return at + 12;
  const char* after = skip_number(at, t->process->virtual_pid);
  return after != nullptr && *after == '/' ? after + 1 : nullptr;
}

// "/proc/<virtual id>..." as the kernel numbers it; into the block's scratch.
bool translate_proc_id(ThreadBlock* t, const char* path, char* out, std::uint64_t room) {
  if (!ids_shifted() || !starts_with(path, "/proc/")) return false;
  const char* at = path + 6;
  std::int32_t number = 0;
  const char* digits = at;
  while (*at >= '0' && *at <= '9' && at - digits < 9) number = number * 10 + (*at++ - '0');
  if (at == digits || (*at != 0 && *at != '/')) return false;
  std::int32_t real = to_real(number);
  if (real == number || string_length(at) + 32 > room) return false;
  (void)t;
  append(append_decimal(append(out, "/proc/"), real), at);
  return true;
}

// The path argument's first bytes decide; everything not under /proc passes at once.
bool read_proc_path(std::uint64_t from, char* out, std::uint64_t room) {
  char head[8];
  if (from == 0 || copy_from_guest(head, from, 1) != 0 || head[0] != '/') return false;
  if (copy_from_guest(head, from, 6) != 0 || memcmp(head, "/proc/", 6) != 0) return false;
  std::int64_t length = string_from_guest(out, room, from);
  return length > 0;
}

Action with_path(ThreadBlock* t, int index) {
  pass(t);
  char path[256];
  if (!read_proc_path(t->tail.args[index], path, sizeof(path))) return Action::kTail;
  if (names_own_executable(t, path)) {
    t->tail.args[index] = sys::address(g_executable);
    return Action::kTail;
  }
  auto* scratch = reinterpret_cast<char*>(t->scratch);
  if (translate_proc_id(t, path, scratch, sizeof(t->scratch))) t->tail.args[index] = sys::address(scratch);
  return Action::kTail;
}

Action path_first(ThreadBlock* t) { return with_path(t, 0); }
Action path_second(ThreadBlock* t) { return with_path(t, 1); }

std::int64_t give_executable(ThreadBlock*, std::uint64_t to, std::uint64_t room) {
  std::uint64_t length = string_length(g_executable);
  if (static_cast<std::int64_t>(room) <= 0) return -kEINVAL;
  if (length > room) length = room;
  int failed = copy_to_guest(to, g_executable, length);
  return failed != 0 ? failed : static_cast<std::int64_t>(length);
}

// /proc/self itself reads as the pid.
std::int64_t give_own_pid(ThreadBlock* t, std::uint64_t to, std::uint64_t room) {
  char text[16];
  auto length = static_cast<std::uint64_t>(append_decimal(text, t->process->virtual_pid) - text);
  if (static_cast<std::int64_t>(room) <= 0) return -kEINVAL;
  if (length > room) length = room;
  int failed = copy_to_guest(to, text, length);
  return failed != 0 ? failed : static_cast<std::int64_t>(length);
}

Action read_link(ThreadBlock* t, int index) {
  char path[256];
  std::uint64_t args[4] = {t->rdi, t->rsi, t->rdx, t->r10};
  if (read_proc_path(args[index], path, sizeof(path))) {
    if (names_own_executable(t, path)) return done(t, give_executable(t, args[index + 1], args[index + 2]));
    if (ids_shifted() && string_equal(path, "/proc/self"))
      return done(t, give_own_pid(t, args[index + 1], args[index + 2]));
  }
  return with_path(t, index);
}

Action readlink(ThreadBlock* t) { return read_link(t, 0); }
Action readlinkat(ThreadBlock* t) { return read_link(t, 1); }

}  // namespace

bool names_own_executable(const ThreadBlock* t, const char* path) {
  const char* entry = own_proc_entry(t, path);
  return entry != nullptr && string_equal(entry, "exe");
}

const HandlerRow kPathHandlers[] = {{__NR_open, path_first},
                                    {__NR_openat, path_second},
                                    {437 /* openat2 */, path_second},
                                    {__NR_stat, path_first},
                                    {__NR_newfstatat, path_second},
                                    {__NR_statx, path_second},
                                    {__NR_access, path_first},
                                    {__NR_faccessat, path_second},
                                    {439 /* faccessat2 */, path_second},
                                    {__NR_chdir, path_first},
                                    {__NR_readlink, readlink},
                                    {__NR_readlinkat, readlinkat},
                                    {0, nullptr}};

}  // namespace cairn::runtime
