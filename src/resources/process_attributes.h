#pragma once
// What a process has of the kernel that is neither memory, nor a descriptor, nor a thread: identity,
// working directory, umask, limits, prctl state. And what of it is refused.

#include "resources/context.h"

namespace cairn::resources {

// Namespaces, seccomp filters, ptracers: refused by name, before anything else is captured.
Result<> refuse_unsupported(CaptureContext& context);

Result<> capture_attributes(CaptureContext& context);

Result<> raise_file_limit(RebuildContext& context);  // before descriptors are placed
Result<> restore_attributes(RebuildContext& context);

}  // namespace cairn::resources
