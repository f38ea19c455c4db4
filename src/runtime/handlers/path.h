#pragma once
// What a path under /proc means to the guest (path.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// "/proc/self/exe" and its like, where the kernel's answer would be the runtime's own file: the
// guest's program is copied to `out`.
bool guest_executable(ThreadBlock* t, std::uint64_t dirfd, std::uint64_t path, char* out,
                      std::uint64_t room);

// Path arguments as the kernel is to see them, by the roles of the table.
Action path_by_roles(ThreadBlock* t);

// Of open, openat, openat2 or creat.
std::uint64_t open_flags(const ThreadBlock* t);

}  // namespace cairn::runtime
