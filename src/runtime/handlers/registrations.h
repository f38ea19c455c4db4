#pragma once
// What a process has once told the kernel about all of itself, and the kernel shows to nobody (older
// ones) or not at all: which memory barriers it wants to use, and that its future mappings are to be
// locked.

#include <cstdint>

namespace cairn::runtime {

// MEMBARRIER_CMD_REGISTER_*, or'ed.
std::uint32_t membarrier_registrations();
// MCL_FUTURE, with MCL_ONFAULT if that was said; 0: new mappings are not locked.
std::uint32_t lock_future_flags();

// Restart: the agent registers anew and the runtime is told.
void set_registrations(std::uint32_t membarrier, std::uint32_t lock_future);
// A child that has memory of its own: barriers are inherited, locks are not.
void forget_locks_after_fork();

}  // namespace cairn::runtime
