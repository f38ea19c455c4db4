#pragma once
// Open files of /proc. Those of the process itself come back as those of the new one.

#include "resources/registry.h"

namespace cairn::resources {
extern const Kind kProcFileKind;
}  // namespace cairn::resources
