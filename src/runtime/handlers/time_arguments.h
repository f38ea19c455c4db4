#pragma once
// Relative timeouts over a park: a call that is made anew waits until its first deadline.

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Both expect t->tail to be filled in (pass()) and look at its argument `index`.
Action keep_relative_timespec(ThreadBlock* t, int index);
Action keep_milliseconds(ThreadBlock* t, int index);

// The call puts this mask in force while it waits: a handler that ends it starts with it.
void note_wait_mask(ThreadBlock* t, std::uint64_t mask);

// The mask that such a call has in force, from the guest's registers at its call site; false: none.
bool wait_mask_of(std::uint64_t number, const std::uint64_t* regs, std::uint64_t* mask);

// The guest is to see EINTR from this call: a sleep tells what remained of it.
void report_remaining(const abi::InterruptedCall& call, const std::uint64_t* regs);

// The guest's CLOCK_MONOTONIC.
std::int64_t guest_monotonic_ns();

}  // namespace cairn::runtime
