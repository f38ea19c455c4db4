#pragma once
// POSIX timers and interval timers. They belong to the process and are made by it.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_timers(CaptureContext& context);
Result<> create_posix_timers(RebuildContext& context);  // with their ids, disarmed
Result<> start_timers(RebuildContext& context);

}  // namespace cairn::resources
