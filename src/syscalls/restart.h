#pragma once
// What the door asks of the table at run time.

#include <cstdint>

#include "syscalls/table.gen.h"

namespace cairn::syscalls {

// Does the kernel begin this call anew after a handler with SA_RESTART (else: EINTR)?
constexpr bool restarts_under_sa_restart(std::uint64_t number) {
  return number < kSyscalls && kTable[number].restart == Restart::kRestart;
}

}  // namespace cairn::syscalls
