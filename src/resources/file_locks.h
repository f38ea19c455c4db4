#pragma once
// flock, open file description and POSIX locks. The first two belong to the open file and are taken
// by the agent; POSIX locks belong to the process and are taken inside, and so are leases.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_locks(CaptureJob& job, const OpenFile& file, image::KernelObject& object);
Result<> restore_locks(RebuildJob& job, const image::KernelObject& object);

// To open such a file, even by its owner, breaks the lease.
bool has_write_lease(int fd);
Result<> restore_leases(RebuildJob& job);

}  // namespace cairn::resources
