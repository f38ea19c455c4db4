#pragma once
// Open directories.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kDirectoryKind;
}  // namespace cairn::resources
