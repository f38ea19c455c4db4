#pragma once
// The descriptors of a process: taken, told apart by open file, captured and put back.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_open_files(CaptureContext& context);
Result<> create_open_files(RebuildContext& context);
Result<> connect_open_files(RebuildContext& context);

// A number that is not in use in the process now.
Result<int> free_number(RebuildContext& context);

}  // namespace cairn::resources
