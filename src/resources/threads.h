#pragma once
// Threads: what the runtime tells of them, and what the kernel knows besides (name, scheduling, I/O
// priority, CPU time).

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_threads(CaptureContext& context);
Result<> make_threads(RebuildContext& context);      // registers and extended state included
Result<> restore_thread_attributes(RebuildContext& context);

}  // namespace cairn::resources
