#pragma once
// Priority-inheritance futexes after a restart (pi_futex.cc).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// FUTEX_LOCK_PI, _LOCK_PI2, _UNLOCK_PI and _TRYLOCK_PI with the guest's tids, by plain wait and wake.
Action pi_futex(ThreadBlock* t, std::uint64_t command);

}  // namespace cairn::runtime
