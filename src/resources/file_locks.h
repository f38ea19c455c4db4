#pragma once
// flock, open file description and POSIX locks. The first two belong to the open file and are taken
// by the agent; POSIX locks belong to the process and are taken inside.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_locks(CaptureContext& context, const OpenFile& file, image::KernelObject& object);
Result<> restore_locks(RebuildContext& context, const image::KernelObject& object);

}  // namespace cairn::resources
