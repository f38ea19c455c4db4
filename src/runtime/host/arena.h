#pragma once
// The window of addresses that is the host's (abi/arena.h).

namespace cairn::runtime {

// Nothing but us may be mapped there from now on.
void claim_arena();
// Gives up what is reserved and not in use, for a guest that runs under a limit on addresses.
void release_reservation();

}  // namespace cairn::runtime
