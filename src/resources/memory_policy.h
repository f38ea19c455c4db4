#pragma once
// NUMA policies (mbind, set_mempolicy). /proc/PID/numa_maps tells whether there is one at all; what
// it is, the process is asked itself. Nodes that this machine lacks leave the policy away: where
// memory lies changes no result.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_memory_policies(CaptureContext& context);  // when the regions are known
Result<> capture_thread_policies(CaptureContext& context);  // when the threads are
Result<> restore_memory_policies(RebuildContext& context);  // before the pages come
Result<> restore_thread_policies(RebuildContext& context);

}  // namespace cairn::resources
