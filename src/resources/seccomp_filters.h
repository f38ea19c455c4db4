#pragma once
// Seccomp filters of the guest's own. The kernel knows nothing of them: the door runs them
// (docs/decisions/0012), and they lie in the runtime's memory.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_seccomp_filters(CaptureContext& context);  // when the threads are known
Result<> restore_seccomp_filters(RebuildContext& context);  // when they are made

}  // namespace cairn::resources
