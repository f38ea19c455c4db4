#pragma once
// Contexts of asynchronous I/O (io_setup). A context's number is the address of its ring, which the
// kernel lets be moved; how far it has come (its tail) is known to the kernel alone, so a new one
// is brought there by requests of ours. What is complete and was not collected lies in the ring.
//
// Requests that are still under way complete in the ring after it was copied, and are lost: regular
// files that are not opened with O_DIRECT have none.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_aio(CaptureContext& context, std::uint64_t address, std::uint64_t length);
// When the memory is mapped and the descriptors are placed.
Result<> restore_aio(RebuildContext& context);

}  // namespace cairn::resources
