#include "runtime/link/descriptors.h"

#include "runtime/host/kernel_types.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kDupfdCloexec = 1030, kGetfd = 1, kSetfd = 2;

bool move_aside(int* fd) {
  auto moved = sys::call(__NR_fcntl, static_cast<std::uint64_t>(*fd), kDupfdCloexec, 0);
  if (!moved.ok()) return false;
  (void)sys::call(__NR_close, static_cast<std::uint64_t>(*fd));
  *fd = static_cast<int>(moved.value());
  return true;
}

struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  unsigned char type;
  char name[1];
};

}  // namespace

std::int32_t place_fds(int* link, int* received, const abi::LinkPlaceFd* places, int count) {
  for (int i = 0; i < count; ++i) {
    int target = places[i].fd;
    if (*link == target && !move_aside(link)) return -kEBADF;
    for (int j = i + 1; j < count; ++j)
      if (received[j] == target && !move_aside(&received[j])) return -kEBADF;
    if (received[i] == target) {
      (void)sys::call(__NR_fcntl, static_cast<std::uint64_t>(target), kSetfd, places[i].flags & 1);
      continue;
    }
    auto placed = sys::call(__NR_dup3, static_cast<std::uint64_t>(received[i]),
                            static_cast<std::uint64_t>(target), (places[i].flags & 1) != 0 ? 0x80000 : 0);
    (void)sys::call(__NR_close, static_cast<std::uint64_t>(received[i]));
    if (!placed.ok()) return static_cast<std::int32_t>(placed.raw);
  }
  return 0;
}

std::int64_t list_descriptors(int link, abi::LinkFd* out, std::uint64_t room) {
  auto directory = sys::call(__NR_open, sys::address("/proc/thread-self/fd"), 0x90000);
  if (!directory.ok()) return directory.raw;
  alignas(8) char entries[8192];
  std::uint64_t count = 0;
  std::int64_t result = 0;
  for (;;) {
    auto got = sys::call(__NR_getdents64, directory.value(), sys::address(entries), sizeof(entries));
    if (!got.ok()) result = got.raw;
    if (!got.ok() || got.value() == 0) break;
    for (std::uint64_t at = 0; at < got.value();) {
      auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      at += entry->bytes;
      if (entry->name[0] < '0' || entry->name[0] > '9') continue;
      int fd = 0;
      for (const char* p = entry->name; *p != 0; ++p) fd = fd * 10 + (*p - '0');
      if (fd == link || fd == static_cast<int>(directory.value()) || count >= room) continue;
      auto flags = sys::call(__NR_fcntl, static_cast<std::uint64_t>(fd), kGetfd);
      if (flags.ok()) out[count++] = {fd, static_cast<std::uint32_t>(flags.value())};
    }
  }
  (void)sys::call(__NR_close, directory.value());
  return result != 0 ? result : static_cast<std::int64_t>(count);
}

}  // namespace cairn::runtime
