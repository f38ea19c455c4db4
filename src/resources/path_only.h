#pragma once
// O_PATH descriptors: a place in the file system and nothing else.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kPathOnlyKind;
}  // namespace cairn::resources
