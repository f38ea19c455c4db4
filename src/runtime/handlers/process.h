#pragma once
// What other families of calls need to know of threads.

#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

// Blocks all signals until the way out of the door. One may have come first: see t->deferred.
void block_signals(ThreadBlock* t);

// The way out, or back, sets the guest's mask again.
void unblock_on_exit(ThreadBlock* t);

// The end of this thread, as by exit(2).
Action end_thread(ThreadBlock* t, int status);

std::uint32_t thread_count(const Process* process);

}  // namespace cairn::runtime
