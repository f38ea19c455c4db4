#pragma once
// Handlers (the runtime knows them) and signals that are pending in the kernel.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_signals(CaptureContext& context);
Result<> restore_pending_signals(RebuildContext& context);

}  // namespace cairn::resources
