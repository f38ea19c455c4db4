#pragma once
// Exec by the host itself, with the meaning that it has for the guest.

#include <cstdint>

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Replaces the process; comes back only with a negative errno.
std::int64_t exec_program(ThreadBlock* t, const char* path, char** argv, char** envp);

}  // namespace cairn::runtime
