#pragma once
// Stopping a thread at the guest's boundary, for as long as the agent wants it stopped.

#include "abi/segment.h"
#include "runtime/host/thread_block.h"
#include "runtime/intercept/boundary.h"

namespace cairn::runtime {

// Does a park signal with this value come from the agent?
bool is_park_value(std::uint64_t value);

// Holds the thread; `context` is at the guest's boundary and leads on from there.
void park(ThreadBlock* t, KernelUcontext* context, const Boundary& at);

// A new thread or process that appears during a freeze stops before its first guest instruction.
void park_if_frozen(ThreadBlock* t);

// Parked threads of a process wait on one word. By its bit (FUTEX_WAKE_BITSET) one of them is woken
// with few others: hundreds that are woken for each of hundreds would take seconds.
inline std::uint32_t park_bit(const ThreadBlock* t) {
  return 1U << (static_cast<std::uint32_t>(t->real_tid) & 31);
}

// The real pid's slot in the job segment, or nullptr outside of a job.
abi::ProcessSlot* slot_of(const Process* process);

}  // namespace cairn::runtime
