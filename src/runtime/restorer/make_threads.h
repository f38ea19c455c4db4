#pragma once
// The threads of a restart: made at once, held until all is in place, let go together.

#include "abi/link.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Entry 0 is the calling thread. 0 or a negative errno.
std::int32_t make_threads(ThreadBlock* server, const abi::ThreadState* states, std::uint64_t count);
// The thread made from entry `index`; nullptr beyond the end.
ThreadBlock* made_thread(std::int32_t index);
std::int32_t put_xsave(std::int32_t index, const void* bytes, std::uint64_t count);
// Everything that can still fail, in every thread; 0 or a negative errno.
std::int32_t prepare_to_go(ThreadBlock* server);
// Lets the others into the guest, then enters it.
[[noreturn]] void go(ThreadBlock* server);

}  // namespace cairn::runtime
