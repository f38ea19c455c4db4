#pragma once
// FIFOs with their data; the name is made again where it is missing.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kFifoKind;
}  // namespace cairn::resources
