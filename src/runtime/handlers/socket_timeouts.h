#pragma once
// SO_RCVTIMEO and SO_SNDTIMEO: an attribute of a socket that bounds waits which themselves know of
// no time. A process that sets one has its waits at sockets note when they begin (the cause
// `timeouts`).

#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// What bounds a wait of this call at the descriptor; 0: nothing does, or it is no socket.
std::int64_t socket_timeout_ns(std::uint64_t fd, std::uint64_t number);

bool socket_timeouts_armed();
void arm_socket_timeouts();
// A call that may wait at a socket begins, or is made anew.
void note_start(ThreadBlock* t);

}  // namespace cairn::runtime
