#pragma once
// What is left of a call that a park interrupted.
//
//   write(fd, buf, 300000)   the kernel has taken 65536 bytes, waits, and is interrupted
//   park                     rax = 65536: back to the call site, progress = 65536
//   resume                   write(fd, buf + 65536, 234464), and so on, until
//   to the guest             all is done, or what ends a call early natively has come: an error, the
//                            end of the stream, a timeout, a signal of the guest's own
//
// Nothing of this is on the way of a call that no park has met.

#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

// A positive result of this call may be a part only.
bool may_have_more(std::uint64_t number);

// An interrupted recvmmsg leaves its EINTR, or the kernel's inner 512, behind as the
// socket's error, for whoever looks next.
void take_back_interruption(std::uint64_t fd);

// The call at the boundary, made anew: `before` serves it when nothing of it is done yet.
Action resume(ThreadBlock* t, BeforeHandler before);

// A handler with SA_RESTART has interrupted it: does the kernel begin it anew (else: EINTR)?
bool restarts_after_handler(std::uint64_t number, const std::uint64_t* regs);

// From a former park, without its having been made: the next call is another one.
void call_is_over(ThreadBlock* t);

}  // namespace cairn::runtime
