#pragma once
// Turns any moment of a thread into one at the guest's boundary (thread_block.h has the picture).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

enum class Moment {
  kGuest,      // the context is the guest's, possibly converted; a signal may be delivered, a park is
               // possible
  kHost,       // in the middle of host code: the signal has to wait for the boundary
};

struct Boundary {
  Moment moment;
  bool made_call;        // the context is right behind a system call of the slow or fast path
  bool before_call;      // the context is at a call site that was about to make (or repeat) a call
  std::uint64_t number;  // of that call
  bool begun;  // before_call: the kernel has begun it already, or a park has interrupted it
};

// Rewrites `context`; after a made call of the slow path the handler's `after` has run.
Boundary to_boundary(ThreadBlock* t, KernelUcontext* context);

// From the guest's boundary back to where the guest's code runs: into its text or a stub of it, or
// into the call that a park interrupted there.
void leave_boundary(ThreadBlock* t, KernelUcontext* context);

// The text address that the guest sees as its call site, for a return address of the door.
std::uint64_t call_site(std::uint64_t return_address);

}  // namespace cairn::runtime
