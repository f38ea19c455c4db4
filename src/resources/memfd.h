#pragma once
// memfd: contents, seals, offset. Mapped or opened twice, it stays one file.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kMemFdKind;

// The object behind a mapping of a memfd: that of an open file, else a new one without a descriptor,
// whose contents are read where they are mapped.
Result<std::uint64_t> capture_mapped_memfd(CaptureContext& context, const std::string& name,
                                           dev_t device, ino_t inode, const ContentPlan::View& view);

// After the contents are in place and mapped.
Result<> seal_memfds(RebuildJob& job);

}  // namespace cairn::resources
