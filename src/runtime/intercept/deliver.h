#pragma once
// Giving a signal to the guest as the kernel would: its frame on the right stack, its handler called.

#include "runtime/host/thread_block.h"
#include "sys/result.h"

namespace cairn::runtime {

// `context` is the kernel's, at the guest's boundary; it is rewritten so that leaving through it
// enters the guest's handler (or goes on, if the guest ignores the signal).
void deliver(ThreadBlock* t, KernelUcontext* context, int signal, const KernelSiginfo& info);

// The frame for `signal` could not be written: SIGSEGV instead, or the end.
void frame_failed(ThreadBlock* t, KernelUcontext* context, int signal);

// Takes one consistent copy of an action while another thread may write it.
abi::GuestSigaction read_action(Sighand* hand, int signal);

void write_action(Sighand* hand, int signal, const abi::GuestSigaction& action);

// The end by this very signal, with the kernel's default action: `context` faults or is left again.
void die_by(ThreadBlock* t, KernelUcontext* context, int signal);

// Asks the kernel to hold for `signal` what the guest's action needs.
sys::SysResult install_action(int signal, const abi::GuestSigaction& action);

}  // namespace cairn::runtime
