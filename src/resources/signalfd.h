#pragma once
// signalfd: a mask. What is queued belongs to the process, not to the descriptor.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kSignalFdKind;
}  // namespace cairn::resources
