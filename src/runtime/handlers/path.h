#pragma once
// What a path under /proc means to the guest (path.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// "/proc/self/exe" and its like: the kernel's answer would be the runtime's own file.
bool names_own_executable(const ThreadBlock* t, const char* path);

}  // namespace cairn::runtime
