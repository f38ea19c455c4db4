#pragma once
// Names of pseudo terminals whose number is another one since a restart (abi/pty_numbers.h): in
// paths, in links of /proc, in directories and of TIOCGPTN. What stat says of such a file
// (st_rdev, st_ino) and field 7 of /proc/PID/stat (tty_nr), which programs compare with it, are
// the kernel's; so the kernel's number means the terminal too, unless another one is known by it.
// Not seen: a symbolic link of the guest's own to /dev/pts/N.

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// True once any terminal of the guest has another number than the kernel's.
bool ptys_shifted();

std::int32_t to_virtual_pty(std::int32_t real);

// If the path argument `path` names such a terminal, it is copied to `out` (kPathRoom bytes) with
// the kernel's number; else false.
bool with_real_pty(std::uint64_t dirfd, std::uint64_t path, char* out);

// If a link of /proc, which is named as the kernel is to see it, leads to such a terminal, what the
// guest is to read there is put into `out` (kPtyLinkRoom bytes); else false.
inline constexpr std::uint64_t kPtyLinkRoom = 64;
bool read_pty_link(std::uint64_t dirfd, std::uint64_t path, char* out);

}  // namespace cairn::runtime
