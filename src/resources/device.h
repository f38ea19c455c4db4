#pragma once
// The devices that have no state: null, zero, full, random, urandom. All others are refused.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kDeviceKind;
}  // namespace cairn::resources
