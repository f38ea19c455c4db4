#pragma once
// eventfd: a counter of 64 bits.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kEventFdKind;
}  // namespace cairn::resources
