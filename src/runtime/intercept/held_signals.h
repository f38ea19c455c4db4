#pragma once
// Host-owned signals (SIGSYS, the park signal) that the guest blocks and that are pending for it.
//
// The kernel never blocks them (thread_block.h: kHostSignals), so it cannot keep them pending either:
// they wait here until the guest's mask lets them through or somebody waits for them. Letting one
// through is sending it again. While a thread is parked, with everything blocked, the kernel does keep
// them: they are handed over for that time, and so are captured and restored like all others.

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// In the front handler: `t` has met a signal that its guest blocks.
void hold_signal(ThreadBlock* t, int signal, const KernelSiginfo& info);

// Signals in `set` that are held for this thread or for its process.
std::uint64_t held_signals(const ThreadBlock* t, std::uint64_t set);

// Takes the first of them, all signals being blocked; false: there is none (any more).
bool take_held_signal(ThreadBlock* t, std::uint64_t set, KernelSiginfo* out);

// Sends again what `mask` lets through, or all: all signals must be blocked.
void let_held_signals_through(ThreadBlock* t, std::uint64_t mask);
void hand_held_signals_to_kernel(ThreadBlock* t);

void forget_held_signals_of(ThreadBlock* ended);
// In a new process, which has none.
void start_without_held_signals(Process* process);

}  // namespace cairn::runtime
