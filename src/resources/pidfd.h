#pragma once
// Descriptors of processes and threads: of the saved process itself, of its threads, and of those
// that have ended and were waited for.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kPidFdKind;

}  // namespace cairn::resources
