#pragma once
// Between the blocks of stopped threads and the structs of the link.

#include "abi/link.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// The thread that a request means: by real tid in a capture, by index in a restore.
ThreadBlock* linked_thread(abi::LinkPurpose purpose, std::int32_t tid);

// Has other stopped threads make these calls, each its own in their order, and waits for all. What
// different threads do has no order.
void run_on_others(ThreadBlock* server, abi::LinkPurpose purpose, abi::LinkSyscall* calls,
                   std::uint64_t count);

// All parked threads of the server's process, the server first; returns how many.
std::uint64_t list_threads(ThreadBlock* server, abi::ThreadState* out);

void get_runtime_state(abi::RuntimeState* out);
// Restore; what refers to guest memory takes effect when the guest goes on. 0 or a negative errno.
std::int32_t set_runtime_state(const abi::RuntimeState& state);
const abi::RuntimeState& restored_runtime_state();

// The size of an extended state as the kernel writes it into a signal frame.
std::uint64_t fpstate_bytes(std::uint64_t fpstate);

}  // namespace cairn::runtime
