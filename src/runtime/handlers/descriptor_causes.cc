// Open descriptors that give reason to arm rows: looked for once, when a process comes back or
// execs.

#include "runtime/handlers/dispatch.h"
#include "runtime/handlers/proc_text.h"
#include "runtime/host/support.h"
#include "sys/syscall.h"

namespace cairn::runtime {
namespace {

constexpr std::uint64_t kName = 19;  // struct linux_dirent64: in front of it the length at 16

void look_at(const char* number) {
  char link[48], target[64];
  append(append(link, "/proc/thread-self/fd/"), number);
  auto length =
      sys::call(__NR_readlink, sys::address(link), sys::address(target), sizeof(target) - 1);
  if (!length.ok()) return;
  target[length.value()] = 0;
  if (starts_with(target, kStandInLink)) arm_above(kStandInHandlers);
  if (string_equal(target, "anon_inode:[signalfd]")) arm_above(kShiftedSignalfdHandlers);
}

}  // namespace

void arm_by_descriptors() {
  auto directory = sys::call(__NR_open, sys::address("/proc/thread-self/fd"), 0x90000);
  if (!directory.ok()) return;
  alignas(8) char entries[4096];
  for (;;) {
    auto got =
        sys::call(__NR_getdents64, directory.value(), sys::address(entries), sizeof(entries));
    if (!got.ok() || got.value() == 0) break;
    for (std::uint64_t at = 0; at < got.value();) {
      std::uint16_t bytes = 0;
      memcpy(&bytes, entries + at + 16, sizeof(bytes));
      if (entries[at + kName] != '.') look_at(entries + at + kName);
      at += bytes;
    }
  }
  (void)sys::call(__NR_close, directory.value());
}

}  // namespace cairn::runtime
