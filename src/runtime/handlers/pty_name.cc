#include "runtime/handlers/pty_name.h"

#include "runtime/handlers/undo_keep.h"
#include "runtime/host/job.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr char kDirectory[] = "/dev/pts/";
constexpr std::uint64_t kDirectoryBytes = sizeof(kDirectory) - 1;

abi::PtyNumbers& table() { return abi::job_segment()->ptys; }

// A plain decimal number up to `end`; -1: none.
std::int32_t number_of(const char* at, const char* end) {
  if (at == end || end - at > 7 || (*at == '0' && end - at > 1)) return -1;
  std::int32_t value = 0;
  for (; at != end; ++at) {
    if (*at < '0' || *at > '9') return -1;
    value = value * 10 + (*at - '0');
  }
  return value;
}

bool same_device(const struct statx& a, const struct statx& b) {
  return a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
}

// The directory of a path whose last component begins at `name`.
bool lies_in_pts(std::uint64_t dirfd, char* path, char* name) {
  const char first = *name;
  *name = 0;
  struct statx its, pts;
  const bool found =
      string_equal(path, kDirectory) ||
      (look({dirfd, sys::address(name == path ? "." : path)}, kFollow, &its).ok() &&
       look({kWorkingDirectory, sys::address(kDirectory)}, kFollow, &pts).ok() &&
       same_device(its, pts) && its.stx_ino == pts.stx_ino);
  *name = first;
  return found;
}

// Whether /proc itself makes the link: what the guest has written into one of its own stays.
bool is_link_of_proc(const Place& place) {
  struct statx link, proc;
  return look(place, kNoFollow, &link).ok() &&
         look({kWorkingDirectory, sys::address("/proc/thread-self/fd")}, kFollow, &proc).ok() &&
         same_device(link, proc);
}

}  // namespace

bool ptys_shifted() {
  return job_attached() && table().shifted.load(std::memory_order_relaxed) != 0;
}

std::int32_t to_virtual_pty(std::int32_t real) {
  return ptys_shifted() ? table().to_virtual(real) : real;
}

bool with_real_pty(std::uint64_t dirfd, std::uint64_t path, char* out) {
  constexpr std::uint64_t kLongest = kPathRoom - 16;  // the kernel's number may be longer
  if (!ptys_shifted() || path == 0) return false;
  const std::int64_t length = string_from_guest(out, kLongest, path);
  if (length <= 0) return false;
  char* name = out + length;
  while (name != out && name[-1] != '/') --name;
  const std::int32_t number = number_of(name, out + length);
  const std::int32_t real = number < 0 ? -1 : table().to_real(number);
  if (real < 0 || !lies_in_pts(dirfd, out, name)) return false;
  append_decimal(name, real);
  return true;
}

bool read_pty_link(std::uint64_t dirfd, std::uint64_t path, char* out) {
  char link[kPtyLinkRoom - 8];
  if (!ptys_shifted()) return false;
  auto length = sys::call(__NR_readlinkat, dirfd, path, sys::address(link), sizeof(link) - 1);
  if (!length.ok()) return false;
  link[length.value()] = 0;
  if (!starts_with(link, kDirectory)) return false;
  const char* number = link + kDirectoryBytes;
  const char* end = number;
  while (*end >= '0' && *end <= '9') ++end;
  const std::int32_t real = number_of(number, end);
  if (real < 0 || (*end != 0 && *end != ' ')) return false;  // " (deleted)": its master is closed
  const std::int32_t known = table().to_virtual(real);
  if (known == real || !is_link_of_proc({dirfd, path})) return false;
  append(append_decimal(append(out, kDirectory), known), end);
  return true;
}

}  // namespace cairn::runtime
