#pragma once
// Memory that has no file and is mapped shared (MAP_SHARED | MAP_ANONYMOUS).
//
// Mapped by one process, it is mapped anonymously again. By several, it cannot be: nothing but a
// fork would share it. Then it is a memfd, which differs in nothing but the name that
// /proc/PID/maps shows; by that name the next checkpoint knows it again.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kSharedMemoryKind;

// The object behind a mapping, whichever process has it.
std::uint64_t capture_shared_memory(CaptureJob& job, dev_t device, ino_t inode,
                                    const ContentPlan::View& view);

// Whether the mapped memfd was made by us in place of anonymous memory.
bool stands_for_anonymous(const CaptureJob& job, const std::string& path, dev_t device,
                          ino_t inode);

}  // namespace cairn::resources
